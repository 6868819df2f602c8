// One visitor: a context of its own, whose storage survives from visit to visit, and what the browser says in it.
const PAGE_LIMIT_MS = 30_000; // a page that has not given all its events to its tracker by then never will

export class Tab {
  static async open(browser) {
    // Everything but the one word that trackers take for a robot's is the browser's own.
    const userAgent = await ownUserAgent(browser);
    const context = await browser.newContext({ userAgent, locale: "en-US" });
    return new Tab(await context.newPage());
  }

  constructor(page) {
    this.page = page;
    this.console = [];
    this.failed = [];
    page.on("console", (message) => {
      if (message.type() === "error") this.console.push(`${message.text()} ${message.location().url ?? ""}`.trim());
    });
    page.on("pageerror", (error) => this.console.push(`uncaught: ${error}`));
    page.on("requestfailed", (request) => {
      this.failed.push({ method: request.method(), url: request.url(), error: request.failure()?.errorText });
    });
  }

  async visit(url) {
    await this.page.goto(url, { waitUntil: "load" });
    try {
      await this.page.waitForFunction(() => window.sent !== undefined, null, { timeout: PAGE_LIMIT_MS });
    } catch (error) {
      throw new Error(`${error.message}; the page says: ${this.console.join(" | ")}`);
    }
    return this.page.evaluate(() => window.sent);
  }

  // By the page's own link where it has one, which makes it the visitor's act.
  async leave() {
    const marks = await this.page.evaluate(() => window.leaving ?? []);
    const link = this.page.locator("a#leave");
    if (await link.count()) {
      await Promise.all([this.page.waitForURL((url) => url.pathname === "/gone"), link.click()]);
    }
    await this.page.goto("about:blank");
    return marks;
  }

  report() {
    return { console: this.console, failed: this.failed };
  }
}

let userAgent;
async function ownUserAgent(browser) {
  if (userAgent === undefined) {
    const page = await browser.newPage();
    userAgent = (await page.evaluate(() => navigator.userAgent)).replace("HeadlessChrome", "Chrome");
    await page.close();
  }
  return userAgent;
}
