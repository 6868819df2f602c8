import sdk from "countly-sdk-web";
import { endpoint, isFirst, mark, sent, token } from "../site.js";

const Countly = sdk.default; // it is not marked as an ES module
Countly.init({ app_key: token, url: endpoint });
if (isFirst) {
  Countly.add_event({ key: mark("event name"), count: 1, sum: 9.5 });
  Countly.add_event({ key: "purchase", count: 1, segmentation: { note: mark("segmentation") } });
  Countly.user_details({ name: mark("person") });
} else {
  Countly.add_event({ key: mark("back"), count: 1 });
}
sent();
