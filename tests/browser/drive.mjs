// Drives the browser for tests/it/browser.rs.
//
// First line in: {chromium, certificate, key}: the folder of the browser, the page server's identity in PEM. Then a
// command per line, a result per line, in any order:
//   {id, do: "visit", page, module, endpoint, token, visit}  opens the page, gives the marks of the events it made
//   {id, do: "leave", page}                                  goes away from it, gives the marks of the events made then
//   {id, do: "report", page}                                 what its console and its failed requests said
// A page's storage stays until the end of the input, which is the end of the browser.
// The end of the input is the end of the browser.
import { createInterface } from "node:readline";
import { launch } from "./browser.mjs";
import { servePages } from "./pages.mjs";
import { Tab } from "./tab.mjs";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const setup = JSON.parse((await lines.next()).value);
const pages = await servePages(setup.certificate, setup.key);
const browser = await launch(setup.chromium, setup.certificate);
const tabs = new Map();

async function tab(page) {
  if (!tabs.has(page)) tabs.set(page, Tab.open(browser));
  return tabs.get(page);
}

const commands = {
  async visit({ page, module, endpoint, token, visit }) {
    const url = await pages.publish({ page, module, endpoint, token, visit });
    return (await tab(page)).visit(url);
  },
  async leave({ page }) {
    return (await tab(page)).leave();
  },
  async report({ page }) {
    return (await tab(page)).report();
  },
};

say({ ready: browser.version() });
for await (const line of lines) {
  const command = JSON.parse(line);
  commands[command.do](command).then(
    (result) => say({ id: command.id, result }),
    (error) => say({ id: command.id, error: String(error?.stack ?? error) }),
  );
}
await browser.close();
pages.close();
process.exit(0); // whatever command is still under way, nobody waits for it
