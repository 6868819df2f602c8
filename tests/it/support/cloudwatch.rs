//! Amazon CloudWatch as far as an alarm needs it: samples of metrics, and whether an alarm crosses over them.
//!
//! One period stands for all that an alarm asks for. Metrics of ours come from lines of the log, in the embedded metric
//! format; those that AWS counts are added by whoever stands where AWS would count.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::stack_template::text_of;
use super::{metrics, tools};

/// Dimensions by name.
type Dimensions = BTreeMap<String, String>;

/// Values by metric.
#[derive(Clone, Default)]
pub struct Samples(BTreeMap<String, Vec<f64>>);

impl Samples {
    /// All that the lines of a log hold.
    ///
    /// # Panics
    /// CloudWatch would pass over one of them.
    pub fn of(log: &str) -> Self {
        let mut samples = Self::default();
        for line in metrics::lines(log) {
            assert_eq!(metrics::faults(&line), Vec::<String>::new(), "{line}");
            let directives = line["_aws"]["CloudWatchMetrics"].as_array();
            directives
                .into_iter()
                .flatten()
                .for_each(|directive| samples.take(directive, &line));
        }
        samples
    }

    fn take(&mut self, directive: &Value, line: &Value) {
        for set in directive["Dimensions"].as_array().unwrap() {
            let names = set.as_array().unwrap().iter().map(text_of);
            let dimensions: Dimensions = names.map(|name| (name.clone(), text_of(&line[&name]))).collect();
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = text_of(&metric["Name"]);
                let value = line[&name].as_f64().unwrap();
                self.push(&text_of(&directive["Namespace"]), &name, &dimensions, value);
            }
        }
    }

    /// One that AWS counts.
    pub fn add(&mut self, namespace: &str, name: &str, dimensions: &[(&str, &str)], value: f64) {
        let dimensions = dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.push(namespace, name, &dimensions.collect(), value);
    }

    /// Those of `other` too.
    pub fn and(mut self, other: Self) -> Self {
        for (metric, values) in other.0 {
            self.0.entry(metric).or_default().extend(values);
        }
        self
    }

    /// Whether `alarm`, evaluated, is in alarm.
    pub fn cross(&self, alarm: &Value) -> bool {
        let judged = match alarm.get("Metrics") {
            None => {
                let statistic = alarm.get("Statistic").or(alarm.get("ExtendedStatistic"));
                self.statistic(alarm, statistic.unwrap())
            }
            Some(metrics) => self.expression(metrics.as_array().unwrap()),
        };
        let threshold: f64 = text_of(&alarm["Threshold"]).parse().unwrap();
        let Some(judged) = judged else {
            return alarm["TreatMissingData"] == "breaching";
        };
        match alarm["ComparisonOperator"].as_str().unwrap() {
            "GreaterThanThreshold" => judged > threshold,
            "LessThanThreshold" => judged < threshold,
            other => panic!("{other} is not known here"),
        }
    }

    fn push(&mut self, namespace: &str, name: &str, dimensions: &Dimensions, value: f64) {
        let values = self.0.entry(key(namespace, name, dimensions)).or_default();
        values.push(value);
    }

    fn statistic(&self, metric: &Value, statistic: &Value) -> Option<f64> {
        let dimensions = metric["Dimensions"].as_array().unwrap().iter();
        let dimensions = dimensions.map(|pair| (text_of(&pair["Name"]), text_of(&pair["Value"])));
        let of = |member: &str| text_of(&metric[member]);
        let mut values = self
            .0
            .get(&key(&of("Namespace"), &of("MetricName"), &dimensions.collect()))?
            .clone();
        values.sort_by(f64::total_cmp);
        Some(match statistic.as_str().unwrap() {
            "Sum" => values.iter().sum(),
            "Minimum" => values[0],
            "Maximum" => values[values.len() - 1],
            "SampleCount" => values.iter().map(|_| 1.0).sum(),
            "p99" => values[(values.len() * 99).div_ceil(100) - 1],
            other => panic!("{other} is not known here"),
        })
    }

    /// Metric math is arithmetic, but for `IF`, and for `FILL`, which stands in for what is missing; without that there is
    /// nothing to judge.
    fn expression(&self, metrics: &[Value]) -> Option<f64> {
        const MATHS: &str = "import sys
names = {name: None if text == 'missing' else float(text) for name, text in zip(sys.argv[2::2], sys.argv[3::2])}
names['IF'] = lambda so, this, that: this if so else that
names['FILL'] = lambda value, instead: instead if value is None else value
try:
    print(float(eval(sys.argv[1], names)))
except TypeError:
    print('missing')";
        let mut command = Command::new(tools::path("PYTHON"));
        command.args(["-c", MATHS, metrics[0]["Expression"].as_str().unwrap()]);
        for counted in &metrics[1..] {
            let stat = &counted["MetricStat"];
            let value = self.statistic(&stat["Metric"], &stat["Stat"]);
            let value = value.map_or("missing".to_owned(), |value| value.to_string());
            command.args([text_of(&counted["Id"]), value]);
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let printed = String::from_utf8(output.stdout).unwrap();
        match printed.trim() {
            "missing" => None,
            number => Some(number.parse().unwrap()),
        }
    }
}

fn key(namespace: &str, name: &str, dimensions: &Dimensions) -> String {
    format!("{namespace} {name} {dimensions:?}")
}
