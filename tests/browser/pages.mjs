// Serves the pages over HTTPS: each at a host of its own, a title with an emoji, one bundled script.
import { createServer } from "node:https";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const bundles = new Map();

function bundle(module) {
  if (!bundles.has(module)) bundles.set(module, build(options(module)).then((built) => built.outputFiles[0].text));
  return bundles.get(module);
}

const options = (module) => ({
  entryPoints: [fileURLToPath(new URL(`pages/${module}.js`, import.meta.url))],
  bundle: true,
  write: false,
  format: "iife",
  charset: "utf8",
  define: { "process.env.NODE_ENV": '"production"' },
  logLevel: "error",
});

const html = (site) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Fox shop 🦊</title><link rel="icon" href="data:,"></head>
<body><h1>Fox shop</h1><script>window.site = ${JSON.stringify(site)}</script><script src="/page.js"></script></body></html>
`;

export async function servePages(certificate, key) {
  const published = new Map();
  const server = createServer({ cert: certificate, key }, async (request, response) => {
    const site = published.get(request.headers.host);
    if (!site) {
      response.writeHead(404).end();
    } else if (request.url === "/page.js") {
      response.writeHead(200, { "content-type": "text/javascript; charset=utf-8" }).end(await bundle(site.module));
    } else {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(html(site));
    }
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    async publish(site) {
      const host = `${site.page}.page.test:${server.address().port}`;
      published.set(host, site);
      await bundle(site.module);
      return `https://${host}/`;
    },
    close: () => server.close(),
  };
}
