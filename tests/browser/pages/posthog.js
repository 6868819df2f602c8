import posthog from "posthog-js";
import { endpoint, isFirst, mark, sent, token } from "../site.js";

posthog.init(token, { api_host: endpoint });
if (isFirst) {
  posthog.capture(mark("event name"));
  posthog.capture("purchase", { note: mark("property"), amount: 9.5 });
  // What identify tells of a person also stands in the question for flags, so the mark is in an event after it.
  posthog.identify("visitor-1");
  posthog.capture("login", { note: mark("identified") });
} else {
  posthog.capture(mark("back"));
}
sent();
