// A beacon that something keeps from the collector, or its answer from the page: the console says what.
import { endpoint, page, sent } from "../site.js";

async function send() {
  if (page === "strict") {
    const policy = document.createElement("meta");
    policy.httpEquiv = "Content-Security-Policy";
    policy.content = "connect-src 'self'";
    document.head.append(policy);
  }
  const headers = { "Content-Type": "application/json" };
  await fetch(endpoint, { method: "POST", headers, body: "{}" }).catch(() => {});
  sent();
}

send();
