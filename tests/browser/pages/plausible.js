import { init, track } from "@plausible-analytics/tracker";
import { endpoint, isFirst, mark, sent, token } from "../site.js";

init({ domain: token, endpoint: `${endpoint}/api/event` });
if (isFirst) {
  track(mark("event name"), {});
  track("Purchase", { props: { note: mark("property") }, revenue: { amount: 9.5, currency: "EUR" } });
} else {
  track(mark("back"), {});
}
sent();
