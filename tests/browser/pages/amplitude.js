import * as amplitude from "@amplitude/analytics-browser";
import { endpoint, isFirst, mark, sent, token } from "../site.js";

amplitude.init(token, undefined, { serverUrl: `${endpoint}/2/httpapi`, remoteConfig: { fetchRemoteConfig: false } });
if (isFirst) {
  amplitude.track(mark("event name"), { amount: 9.5 });
  amplitude.track("Purchase", { note: mark("property") });
  amplitude.identify(new amplitude.Identify().set("name", mark("trait")));
} else {
  amplitude.track(mark("back"));
}
sent();
