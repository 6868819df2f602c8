//! What the README tells who deploys: its sums, its snippet, the names in it, and samconfig.toml.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::gateway::{Request, Shape};
use crate::support::site::Site;
use crate::support::stack_template::{choice, text_of, translated, Stack};
use crate::support::tools;
use crate::template_watch::{OF_INGEST, OF_MEASURE};
use crate::INGEST;

fn readme() -> String {
    std::fs::read_to_string(tools::project().join("README.md")).unwrap()
}

pub fn section(title: &str) -> String {
    let readme = readme();
    let (_, behind) = readme.split_once(&format!("\n## {title}\n")).unwrap();
    behind.split("\n## ").next().unwrap().to_owned()
}

/// The cells of the tables' rows, without the heads.
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let lines = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("|--"));
    lines
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}

fn number(cell: &str) -> f64 {
    cell.replace(',', "")
        .parse()
        .unwrap_or_else(|_| panic!("{cell:?} is no number"))
}

fn cents(usd: f64) -> i64 {
    format!("{:.0}", (usd + 1e-9) * 100.0).parse().unwrap()
}

#[test]
fn the_costs_are_units_times_prices_and_their_sums() {
    let costs = section("What it costs");
    let (months, choices) = costs.split_once("What a choice adds").unwrap();
    let mut sums = [0; 3];
    let mut totals = None;
    for row in rows(months).into_iter().skip(1) {
        if row[0] == "together" {
            totals = Some([4, 6, 8].map(|at| cents(number(&row[at]))));
            continue;
        }
        for (month, sum) in sums.iter_mut().enumerate() {
            let (units, usd) = (number(&row[3 + 2 * month]), cents(number(&row[4 + 2 * month])));
            assert_eq!(usd, cents(units * number(&row[2])), "{row:?}");
            *sum += usd;
        }
    }
    assert_eq!(totals, Some(sums));
    let dollars = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
    let saved = format!("saves {} of {} USD", dollars(sums[1] - sums[2]), dollars(sums[1]));
    assert!(costs.contains(&saved), "{saved}");
    let choices = rows(choices);
    assert_eq!(choices.len(), 1 + 7);
    for row in choices.iter().skip(1) {
        assert_eq!(
            cents(number(&row[4])),
            cents(number(&row[2]) * number(&row[3])),
            "{row:?}"
        );
    }
}

#[test]
fn the_units_of_the_costs_are_the_templates() {
    let costs = section("What it costs");
    let units = |name: &str| {
        let row = rows(&costs).into_iter().find(|row| row[0] == name).unwrap();
        [3, 5, 7].map(|at| number(&row[at]))
    };
    let mut stack = Stack::new(
        translated(),
        &choice(&["DatabaseHost=h", "DatabaseResourceId=db-1"]),
    );
    let resources = stack.resources();
    let alarms = resources
        .values()
        .filter(|r| r["Type"] == "AWS::CloudWatch::Alarm");
    let looked_at: usize = alarms
        .map(|alarm| {
            let metrics = alarm["Properties"].get("Metrics").and_then(|m| m.as_array());
            metrics.map_or(1, |all| {
                all.iter().filter(|m| m.get("MetricStat").is_some()).count()
            })
        })
        .sum();
    assert_eq!(units("metrics that alarms look at"), [looked_at as f64; 3]);
    let (all, idle) = (OF_INGEST.len() + OF_MEASURE.len(), OF_MEASURE.len());
    assert_eq!(units("metrics of its own"), [idle as f64, all as f64, all as f64]);

    let every_five_minutes = 730.0 * 60.0 / 5.0 / 1e6;
    let beacons = [0.0, 100.0, 10.0];
    let memory = resources["IngestFunction"]["Properties"]["MemorySize"]
        .as_f64()
        .unwrap()
        / 1024.0;
    for (month, milliseconds) in [10.0, 10.0, 12.0].into_iter().enumerate() {
        let invocations = beacons[month] + every_five_minutes;
        assert!((units("invocations")[month] - invocations).abs() < 1e-9);
        let seconds = beacons[month] * 1e6 * milliseconds / 1e3 + every_five_minutes * 1e6 * 0.1;
        assert_eq!(
            units("time of functions, arm64")[month],
            (seconds * memory).round()
        );
        assert_eq!(units("log lines taken in")[month], beacons[month] * 2.0);
        assert!((units("answers sent out")[month] - beacons[month] * 0.9).abs() < 1e-9);
    }
    assert_eq!(units("requests to the HTTP API"), beacons);
}

/// Runs the snippet as a page would, and gives the URL and the body of each beacon that it sends, a line each.
const PAGE: &str = r#"
const lines = [];
const page = {
  location: { href: "https://shop.example/fox?a=1" },
  document: { referrer: "https://search.example/" },
  navigator: { sendBeacon: (url, body) => { lines.push(url, body); return true; } },
};
page.window = page;
require("node:vm").runInNewContext(process.argv[1] + "; track({event: 'signup', plan: 'free'})", page);
console.log(lines.join("\n"));
"#;

#[tokio::test]
async fn the_snippet_is_ten_lines_and_what_it_sends_is_stored() {
    let pasting = section("Paste the snippet");
    let snippet = pasting
        .split("```html\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let script = snippet
        .trim()
        .trim_start_matches("<script>")
        .trim_end_matches("</script>");
    assert!(script.trim().lines().count() <= 10, "{script}");
    let site = Site::new().await;
    let script = script.replace("SITE_KEY", site.key.expose());
    let output = Command::new("node").args(["-e", PAGE, &script]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let sent = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = sent.lines().collect();
    assert_eq!(lines.len(), 4, "{sent}");
    let ingest = site.start(INGEST).await;
    for beacon in lines.chunks(2) {
        assert_eq!(beacon[0], format!("https://API/{}", site.key.expose()));
        let request = Request::post(Shape::V2, site.key.expose(), beacon[1]);
        let request = request.header("content-type", Some("text/plain;charset=UTF-8"));
        assert_eq!(ingest.send(&request).await.status, 200);
    }
    let rows = site.rows().await;
    let events: Vec<String> = rows
        .iter()
        .map(|row| text_of(&row["raw_payload"]["event"]))
        .collect();
    assert_eq!(events, ["page_view", "signup"]);
    assert_eq!(rows[0]["raw_payload"]["url"], "https://shop.example/fox?a=1");
    ingest.stop().await;
}

#[test]
fn each_parameter_output_and_alarm_that_the_readme_names_is_the_templates() {
    let template = translated();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for part in ["Parameters", "Outputs", "Resources"] {
        known.extend(template[part].as_object().unwrap().keys().map(String::as_str));
    }
    // Attributes and properties of the raw layer, values, and words of AWS, of browsers and of other software.
    let layer = template["Resources"]["RawLayer"]["Properties"]
        .as_object()
        .unwrap();
    known.extend(layer.keys().map(String::as_str));
    known.extend([
        "Checklist",
        "ChecklistFailed",
        "Retain",
        "DropIfEmpty",
        "Drop",
        "UnreservedConcurrentExecution",
    ]);
    known.extend([OF_INGEST, OF_MEASURE].concat());
    known.extend(["Stack", "Tag", "SiteTracking"]);
    let readme = readme();
    let code = readme.split('`').skip(1).step_by(2);
    let names = code.filter(|text| {
        let mut characters = text.chars();
        characters.next().is_some_and(|first| first.is_ascii_uppercase())
            && text.chars().any(|c| c.is_ascii_lowercase())
            && characters.all(|c| c.is_ascii_alphanumeric())
    });
    let browsers = ["Allow", "Accept", "Origin", "Referer", "DNT"];
    let unknown: BTreeSet<&str> = names
        .filter(|name| !known.contains(name) && !browsers.contains(name))
        .collect();
    assert_eq!(
        unknown,
        BTreeSet::new(),
        "the README names what the template has not"
    );
}

/// The `parameter_overrides` of one environment of samconfig.toml.
fn overrides(environment: &str) -> Vec<String> {
    let config = std::fs::read_to_string(tools::project().join("samconfig.toml")).unwrap();
    let (_, behind) = config
        .split_once(&format!("[{environment}.deploy.parameters]"))
        .unwrap();
    let line = behind
        .lines()
        .find_map(|line| line.strip_prefix("parameter_overrides = \""));
    let pairs = line.unwrap().trim_end_matches('"').split(' ');
    pairs.map(str::to_owned).collect()
}

#[test]
fn both_environments_of_samconfig_are_what_the_template_takes() {
    for (environment, name) in [("default", "DEV"), ("prod", "PRODUCTION")] {
        let mut pairs = overrides(environment);
        for pair in &pairs {
            let (name, value) = pair.split_once('=').unwrap();
            let allowed = &translated()["Parameters"][name]["AllowedValues"];
            let allowed = allowed
                .as_array()
                .unwrap_or_else(|| panic!("no such choice: {pair}"));
            assert!(allowed.iter().any(|known| text_of(known) == value), "{pair}");
        }
        assert!(pairs.contains(&format!("EnvironmentName={name}")));
        pairs.extend(["DatabaseHost=h".to_owned(), "DatabaseResourceId=db-1".to_owned()]);
        let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
        assert_eq!(
            Stack::new(translated(), &choice(&pairs)).refusals(),
            Vec::<String>::new()
        );
    }
}
