//! template.yaml as CloudFormation sees it: translated by SAM, its rules, conditions and functions evaluated here.
//!
//! A reference to a resource is its name in angle brackets, one to an attribute `<Name.Attribute>`, unless the world
//! that evaluates has a value for it. What cannot be resolved is a fault, told by name.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{json, Map, Value};

use super::tools;

/// Parameters that are not left at their defaults.
pub type Choice = BTreeMap<String, String>;

/// As SAM hands it over.
pub fn translated() -> &'static Value {
    static TEMPLATE: OnceLock<Value> = OnceLock::new();
    TEMPLATE.get_or_init(|| translate("template.yaml", &[]))
}

/// A template of the project, translated with these parameters, `A=b` each: SAM itself looks at some.
pub fn translate(name: &str, parameters: &[&str]) -> Value {
    let python = tools::path("PYTHON");
    let mut command = Command::new(&python);
    command.current_dir(tools::project());
    let output = command
        .arg("tests/stack/translate.py")
        .arg(name)
        .args(parameters)
        .output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; run `make tools`", python.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "SAM does not translate {name}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Parameters by name; `A=b` each.
pub fn choice(values: &[&str]) -> Choice {
    let pairs = values.iter().map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// One stack: parameters, and what a reference to something outside of the template is.
pub struct Stack<'t> {
    template: &'t Value,
    choice: Choice,
    conditions: BTreeMap<String, bool>,
    pub known: BTreeMap<String, Value>,
    pub faults: BTreeSet<String>,
    /// What was referred to since it was last emptied.
    pub referred: BTreeSet<String>,
}

/// What a value becomes; absent for `AWS::NoValue`.
type Found = Option<Value>;

impl<'t> Stack<'t> {
    pub fn new(template: &'t Value, choice: &Choice) -> Self {
        for name in choice.keys() {
            assert!(template["Parameters"].get(name).is_some(), "no parameter {name}");
        }
        let known = [
            ("AWS::Region", "eu-west-1"),
            ("AWS::Partition", "aws"),
            ("AWS::AccountId", "123456789012"),
            ("AWS::StackName", "site-tracking"),
            ("AWS::URLSuffix", "amazonaws.com"),
        ];
        let known = known.map(|(name, value)| (name.to_owned(), json!(value)));
        let mut stack = Self {
            template,
            choice: choice.clone(),
            conditions: BTreeMap::new(),
            known: known.into(),
            faults: BTreeSet::new(),
            referred: BTreeSet::new(),
        };
        for name in template["Conditions"].as_object().unwrap().keys() {
            stack.condition(name);
        }
        stack
    }

    /// Sentences of the rules that refuse these parameters.
    pub fn refusals(&mut self) -> Vec<String> {
        let rules = self.template["Rules"].as_object().unwrap();
        let mut refusals = Vec::new();
        for rule in rules.values() {
            let applies = rule
                .get("RuleCondition")
                .is_none_or(|condition| self.holds(condition));
            for assertion in rule["Assertions"].as_array().unwrap() {
                if applies && !self.holds(&assertion["Assert"]) {
                    refusals.push(assertion["AssertDescription"].as_str().unwrap().to_owned());
                }
            }
        }
        refusals
    }

    /// Names of all conditions, with their values here.
    pub fn conditions(&self) -> &BTreeMap<String, bool> {
        &self.conditions
    }

    /// Resources that are made, evaluated.
    pub fn resources(&mut self) -> Map<String, Value> {
        let template = self.template;
        let all = template["Resources"].as_object().unwrap();
        all.iter()
            .filter_map(|(name, _)| Some((name.clone(), self.resource(name)?)))
            .collect()
    }

    /// One resource, if it is made.
    pub fn resource(&mut self, name: &str) -> Option<Value> {
        let template = self.template;
        let resource = &template["Resources"][name];
        self.is_made(resource).then(|| self.value(resource).unwrap())
    }

    pub fn outputs(&mut self) -> Map<String, Value> {
        let template = self.template;
        let mut outputs = Map::new();
        for (name, output) in template["Outputs"].as_object().unwrap() {
            if self.is_made(output) {
                outputs.extend(self.value(&output["Value"]).map(|value| (name.clone(), value)));
            }
        }
        outputs
    }

    fn is_made(&self, thing: &Value) -> bool {
        let condition = thing.get("Condition").and_then(Value::as_str);
        condition.is_none_or(|name| self.conditions.get(name).copied().unwrap_or(false))
    }

    fn condition(&mut self, name: &str) -> bool {
        if let Some(value) = self.conditions.get(name) {
            return *value;
        }
        let template = self.template;
        let Some(condition) = template["Conditions"].get(name) else {
            self.faults.insert(format!("no condition {name}"));
            return false;
        };
        let value = self.holds(condition);
        self.conditions.insert(name.to_owned(), value);
        value
    }

    fn holds(&mut self, condition: &Value) -> bool {
        let (name, arguments) = function(condition).unwrap_or_else(|| panic!("no condition: {condition}"));
        match name {
            "Condition" => self.condition(arguments.as_str().unwrap()),
            "Fn::Not" => !self.holds(&arguments[0]),
            "Fn::And" => arguments.as_array().unwrap().iter().all(|each| self.holds(each)),
            "Fn::Or" => arguments.as_array().unwrap().iter().any(|each| self.holds(each)),
            "Fn::Equals" => {
                let sides = [0, 1].map(|at| self.value(&arguments[at]).map(|value| text_of(&value)));
                sides[0] == sides[1]
            }
            other => panic!("{other} is no function of conditions"),
        }
    }

    /// Evaluates anything.
    pub fn value(&mut self, value: &Value) -> Found {
        if let Some((name, arguments)) = function(value) {
            return self.call(name, arguments);
        }
        match value {
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .filter_map(|(name, value)| Some((name.clone(), self.value(value)?)));
                Some(Value::Object(fields.collect()))
            }
            Value::Array(items) => Some(items.iter().filter_map(|item| self.value(item)).collect()),
            plain => Some(plain.clone()),
        }
    }

    fn call(&mut self, name: &str, arguments: &Value) -> Found {
        match name {
            "Ref" => self.reference(arguments.as_str().unwrap()),
            "Fn::GetAtt" => self.reference(&dotted(arguments)),
            "Fn::If" => {
                let at = if self.condition(arguments[0].as_str().unwrap()) {
                    1
                } else {
                    2
                };
                self.value(&arguments[at])
            }
            "Fn::Sub" => Some(json!(self.substituted(arguments))),
            "Fn::Join" => {
                let list = self.list(&arguments[1]);
                let list: Vec<String> = list.iter().map(text_of).collect();
                Some(json!(list.join(arguments[0].as_str().unwrap())))
            }
            "Fn::Split" => {
                let text = text_of(&self.value(&arguments[1])?);
                Some(
                    text.split(arguments[0].as_str().unwrap())
                        .map(|piece| json!(piece))
                        .collect(),
                )
            }
            "Fn::Select" => {
                let at = text_of(&self.value(&arguments[0])?).parse::<usize>().unwrap();
                let list = self.list(&arguments[1]);
                // An attribute that nobody knows here is not made of as many pieces as the real one.
                list.get(at).or(list.last()).cloned()
            }
            "Fn::Cidr" => Some(json!(["10.61.0.0/25", "10.61.0.128/25"])),
            "Fn::GetAZs" => Some(json!(["eu-west-1a", "eu-west-1b"])),
            other => panic!("{other} is not known here"),
        }
    }

    fn list(&mut self, value: &Value) -> Vec<Value> {
        let found = self.value(value);
        found
            .and_then(|list| list.as_array().cloned())
            .unwrap_or_default()
    }

    fn reference(&mut self, name: &str) -> Found {
        if name == "AWS::NoValue" {
            return None;
        }
        if let Some(value) = self.known.get(name) {
            return Some(value.clone());
        }
        if let Some(parameter) = self.template["Parameters"].get(name) {
            let chosen = self.choice.get(name).map(|value| json!(value));
            return chosen.or_else(|| parameter.get("Default").cloned());
        }
        let resource = name.split('.').next().unwrap();
        self.referred.insert(resource.to_owned());
        let fault = match self.template["Resources"].get(resource) {
            None => Some("refers to nothing"),
            Some(declared) if !self.is_made(declared) => Some("is referred to where it is not made"),
            Some(_) => None,
        };
        self.faults.extend(fault.map(|fault| format!("{name} {fault}")));
        Some(json!(format!("<{name}>")))
    }

    fn substituted(&mut self, arguments: &Value) -> String {
        let (text, own) = match arguments {
            Value::Array(pair) => (pair[0].as_str().unwrap(), pair[1].clone()),
            text => (text.as_str().unwrap(), json!({})),
        };
        let mut pieces = text.split("${");
        let mut result = pieces.next().unwrap().to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once('}').unwrap();
            let found = match own.get(name) {
                Some(value) => self.value(value),
                None => self.reference(name),
            };
            result += &found.map(|value| text_of(&value)).unwrap_or_default();
            result += rest;
        }
        result
    }
}

/// A mapping of one name that is a function's.
fn function(value: &Value) -> Option<(&str, &Value)> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    let (name, arguments) = fields.iter().next()?;
    let is_one = name == "Ref" || name == "Condition" && arguments.is_string() || name.starts_with("Fn::");
    is_one.then_some((name.as_str(), arguments))
}

fn dotted(arguments: &Value) -> String {
    match arguments {
        Value::Array(pieces) => pieces.iter().map(text_of).collect::<Vec<_>>().join("."),
        text => text.as_str().unwrap().to_owned(),
    }
}

/// As CloudFormation hands scalars to custom resources and environments.
pub fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Every condition, function, parameter and resource that a piece of the template names.
pub fn names_in(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            into.insert(text.clone());
            let substituted = text
                .split("${")
                .skip(1)
                .filter_map(|piece| piece.split('}').next());
            into.extend(substituted.map(|name| name.split('.').next().unwrap().to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| names_in(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| names_in(field, into)),
        _ => {}
    }
}
