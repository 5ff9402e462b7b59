//! Every sample that the documentation and the deployment show, read as the module reads it.

use serde_json::{Map, Value, json};

use crate::document::{Problem, Problems, merge_patch};
use crate::settings::manifest::{self, locate};
use crate::settings::{Presets, Settings};

pub const TEMPLATE: &str = include_str!("../../../deployment.template.json");
const GUIDE: &str = include_str!("../../../docs/guide.md");
pub const PAGES: [(&str, &str); 4] = [
    ("README.md", include_str!("../../../README.md")),
    ("docs/guide.md", GUIDE),
    ("docs/modbus.md", include_str!("../../../docs/modbus.md")),
    (
        "docs/settings.md",
        include_str!("../../../docs/settings.md"),
    ),
];
/// What IoT Hub takes of one createOptions member.
const CHUNK: usize = 512;

/// The JSON samples of a page.
pub fn samples(page: &str) -> Vec<Value> {
    let blocks = page.split("```json\n").skip(1);
    let texts = blocks.map(|block| block.split("```").next().unwrap());
    texts
        .map(|text| serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}")))
        .collect()
}

/// A sample as whole settings, what it leaves out filled in; `None` for messages and methods.
pub fn whole(sample: &Value) -> Option<Value> {
    let has = |names: &[&str]| names.iter().any(|name| sample.get(name).is_some());
    let mut settings = json!({
        "listeners": {"trackers": {"port": 5000, "protocol": "p"}},
        "protocols": {"p": {
            "framing": {"type": "delimiter", "end": "\n"},
            "replies": {"ok": {"send": "0x06", "when": "length > 0"}}
        }}
    });
    if has(&["framing"]) {
        settings["protocols"]["p"]["framing"] = json!({});
    }
    if sample.to_string().contains("{unit") && has(&["polls"]) {
        settings["listeners"]["trackers"]["units"] = json!([1]);
    }
    let is_message = has(&["id"]);
    if has(&["listeners"]) {
        return Some(sample.clone());
    } else if has(&["checksum", "decode", "framing"]) {
        merge_patch(&mut settings, &json!({"protocols": {"p": sample}}));
    } else if !is_message
        && has(&[
            "allowRaw",
            "devices",
            "deviceRules",
            "outbound",
            "outputs",
            "presence",
            "spool",
        ])
    {
        merge_patch(&mut settings, sample);
    } else {
        assert!(
            is_message || has(&["values", "bytes", "command"]),
            "what is this a sample of? {sample}"
        );
        return None;
    }
    Some(settings)
}

#[test]
fn every_sample_of_the_documentation_is_valid() {
    for (name, page) in PAGES {
        let samples = samples(page);
        let read = samples.iter().filter_map(whole).map(|settings| {
            if let Err(problems) = Settings::parse(&settings, &Presets::built_in()) {
                panic!("{name}: {:?} in {settings}", problems.as_slice());
            }
        });
        assert!(read.count() > 0, "{name} has samples");
    }
}

/// What the guide's table says to write: members of a protocol or of the settings, in code.
fn members() -> Vec<Value> {
    let rows = GUIDE.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.split(" | ").nth(1));
    let code = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let members = code.filter(|code| code.starts_with('"'));
    members
        .map(|code| {
            serde_json::from_str(&format!("{{{code}}}"))
                .unwrap_or_else(|error| panic!("{error} in {code}"))
        })
        .collect()
}

#[test]
fn all_that_the_table_of_the_guide_says_to_write_is_valid() {
    let members = members();
    assert!(members.len() > 40, "{}", members.len());
    for said in members {
        let mut sample = match said.get("fields") {
            Some(fields) => json!({"decode": {"type": "binary", "fields": fields}}),
            None => said,
        };
        if sample.get("outputs").is_none() && sample.get("checksum").is_none() {
            // Makes it a sample of a protocol.
            sample["checksum"] = json!([]);
        }
        let settings = whole(&sample).unwrap();
        match Settings::parse(&settings, &Presets::built_in()) {
            Ok((_, warnings)) => {
                let mut doubts = warnings.iter().map(|warning| &warning.message);
                let doubt = doubts.find(|message| message.contains("backslash"));
                assert_eq!(doubt, None, "{settings}");
            }
            Err(problems) => panic!("{:?} in {settings}", problems.as_slice()),
        }
    }
}

/// Mistakes in a manifest and in its settings, and what is warned of.
fn findings(manifest: &Value) -> (Vec<Problem>, usize) {
    let mut problems = Problems::new();
    let located = locate(manifest, None, &mut problems).unwrap();
    let (settings, mut warnings) = Settings::parse(&located.desired, &Presets::built_in()).unwrap();
    let deployment = located.deployment.unwrap();
    warnings.extend(manifest::warnings(&deployment, &settings, &mut problems));
    (problems.as_slice().to_vec(), warnings.len())
}

/// The template as it is deployed: createOptions as text, in members of 512 bytes.
fn deployed(chunk: usize) -> Value {
    let mut manifest: Value = serde_json::from_str(TEMPLATE).unwrap();
    let agent = &mut manifest["modulesContent"]["$edgeAgent"]["properties.desired"];
    for list in ["systemModules", "modules"] {
        for module in agent[list].as_object_mut().unwrap().values_mut() {
            let settings = module["settings"].as_object_mut().unwrap();
            let options = settings.remove("createOptions").unwrap().to_string();
            settings.extend(chunks(&options, chunk));
        }
    }
    manifest
}

fn chunks(options: &str, chunk: usize) -> Map<String, Value> {
    let texts = options.as_bytes().chunks(chunk).enumerate();
    let named = texts.map(|(number, text)| {
        let name = match number {
            0 => "createOptions".to_owned(),
            _ => format!("createOptions{number:02}"),
        };
        (name, json!(std::str::from_utf8(text).unwrap()))
    });
    named.collect()
}

#[test]
fn the_deployment_template_is_whole() {
    let template: Value = serde_json::from_str(TEMPLATE).unwrap();
    assert_eq!(findings(&template), (vec![], 0));
    let content = &template["modulesContent"];
    let agent = &content["$edgeAgent"]["properties.desired"];
    let ours = &agent["modules"]["tcpgateway"];
    assert_eq!(ours["restartPolicy"], "always");
    let host = &ours["settings"]["createOptions"]["HostConfig"];
    for port in 5000..=5019 {
        let published = &host["PortBindings"][format!("{port}/tcp")][0]["HostPort"];
        assert_eq!(*published, port.to_string());
    }
    assert_eq!(host["Binds"], json!(["tcpgateway-data:/data"]));
    assert!(host["LogConfig"]["Config"]["max-size"].is_string());
    let week = json!(7 * 24 * 3600);
    let hub = &content["$edgeHub"]["properties.desired"];
    assert_eq!(hub["storeAndForwardConfiguration"]["timeToLiveSecs"], week);
}

#[test]
fn create_options_in_chunks_say_the_same() {
    let manifest = deployed(CHUNK);
    let ours = &manifest["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["tcpgateway"]
        ["settings"];
    assert!(ours["createOptions01"].is_string(), "more than 512 bytes");
    assert_eq!(findings(&manifest), (vec![], 0));
}

#[test]
fn a_lost_chunk_and_one_that_is_too_long_are_found() {
    let mut manifest = deployed(CHUNK);
    let ours = "/modulesContent/$edgeAgent/properties.desired/modules/tcpgateway/settings";
    let settings = manifest.pointer_mut(ours).unwrap();
    settings.as_object_mut().unwrap().remove("createOptions01");
    let (problems, _) = findings(&manifest);
    assert!(!problems.is_empty());
    assert!(problems[0].pointer.starts_with(ours), "{problems:?}");

    let (problems, _) = findings(&deployed(CHUNK + 1));
    let words = problems.iter().map(|problem| problem.message.as_str());
    assert!(
        words.clone().any(|text| text.contains("512")),
        "{problems:?}"
    );
}
