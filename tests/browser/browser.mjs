// Starts the pinned headless Chromium: an empty profile, no name resolved but *.test (which is this machine), and
// trust in the one key of the throwaway certificate.
import { createHash, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { chromium } from "playwright-core";

export function launch(folder, certificate) {
  return chromium.launch({
    executablePath: join(folder, "chromium"),
    env: { ...process.env, LD_LIBRARY_PATH: join(folder, "lib") },
    // Trackers are silent where they see a robot; this is to be a visitor's browser.
    ignoreDefaultArgs: ["--enable-automation"],
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-blink-features=AutomationControlled",
      "--host-resolver-rules=MAP *.test 127.0.0.1,MAP * ~NOTFOUND",
      `--ignore-certificate-errors-spki-list=${keyHash(certificate)}`,
    ],
  });
}

function keyHash(certificate) {
  const { publicKey } = new X509Certificate(certificate);
  return createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
}
