import posthog from "posthog-js";
import { endpoint, isFirst, mark, sent, token } from "../site.js";

posthog.init(token, { api_host: endpoint });
if (isFirst) {
  posthog.capture(mark("event name"));
  posthog.capture("purchase", { note: mark("property"), amount: 9.5 });
  posthog.identify("visitor-1", { name: mark("person") });
} else {
  posthog.capture(mark("back"));
}
sent();
