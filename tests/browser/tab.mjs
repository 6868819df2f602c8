// One visitor: a context of its own, whose storage survives from visit to visit, and what the browser says in it.
const PAGE_LIMIT_MS = 30_000; // a page that has not given all its events to its tracker by then never will

export class Tab {
  static async open(browser) {
    const context = await browser.newContext({ locale: "en-US" });
    const page = await context.newPage();
    await callItChrome(page);
    return new Tab(page);
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

// Trackers are silent where a browser names itself headless. Everything but that word stays its own.
async function callItChrome(page) {
  const [userAgent, own] = await page.evaluate(async () => {
    const hints = ["architecture", "bitness", "fullVersionList", "model", "platformVersion", "uaFullVersion"];
    return [navigator.userAgent, await navigator.userAgentData?.getHighEntropyValues(hints)];
  });
  const named = (brands = []) => brands.map(({ brand, version }) => ({ brand: chrome(brand), version }));
  const session = await page.context().newCDPSession(page);
  await session.send("Emulation.setUserAgentOverride", {
    userAgent: userAgent.replace("HeadlessChrome", "Chrome"),
    userAgentMetadata: {
      platform: "Linux",
      platformVersion: "",
      architecture: "x86",
      model: "",
      mobile: false,
      ...own,
      brands: named(own?.brands ?? brandsOf(userAgent)),
      fullVersionList: named(own?.fullVersionList ?? []),
    },
  });
}

const chrome = (brand) => brand.replace("HeadlessChrome", "Google Chrome");

// about:blank is no secure context and knows no brands.
function brandsOf(userAgent) {
  const version = userAgent.match(/Chrome\/(\d+)/)[1];
  return [
    { brand: "HeadlessChrome", version },
    { brand: "Chromium", version },
  ];
}
