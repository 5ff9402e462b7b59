//! Finds the settings in what people have at hand: the settings themselves, a module twin, or an
//! IoT Edge deployment manifest (or its template).

mod container;
mod routes;
#[cfg(test)]
mod tests;
mod warnings;

use serde_json::{Map, Value};

use crate::document::{Problem, Problems, Section, child_pointer, unknown_word};

pub use warnings::warnings;

/// What our image is called in a manifest, whatever its registry.
const IMAGE: &str = "edge-tcp-gateway";
const DESIRED: &str = "properties.desired";
const ROUTE_LAYER: &str = "properties.desired.routes.";

/// Settings that were found in a document.
#[derive(Debug)]
pub struct Located<'a> {
    /// The desired properties.
    pub desired: Value,
    /// The deployment around them.
    pub deployment: Option<Deployment<'a>>,
    /// Pointer in the settings, and where that stands in the document.
    places: Vec<(String, String)>,
}

/// A deployment manifest and the module in it that is this one.
#[derive(Debug)]
pub struct Deployment<'a> {
    /// Name of the module.
    pub module: String,
    /// The section `modulesContent`.
    content: Section<'a>,
}

impl<'a> Deployment<'a> {
    /// The desired properties of a module, system modules included.
    fn desired(&self, module: &str) -> Option<Section<'a>> {
        self.content.member(module)?.member(DESIRED)
    }

    /// What edgeAgent is told about a module.
    fn definition(&self, module: &str) -> Option<Section<'a>> {
        let agent = self.desired("$edgeAgent")?;
        let listed = |list: &str| agent.member(list)?.member(module);
        listed("modules").or_else(|| listed("systemModules"))
    }

    /// edgeHub's routes, those of layers included.
    fn routes(&self) -> Vec<Section<'a>> {
        let hub = self.content.member("$edgeHub");
        let table = self
            .desired("$edgeHub")
            .and_then(|desired| desired.member("routes"));
        let named: Vec<_> = table.iter().flat_map(Section::members).collect();
        let layers: Vec<_> = hub.iter().flat_map(Section::members).collect();
        let layers = layers
            .into_iter()
            .filter(|(name, _)| name.starts_with(ROUTE_LAYER));
        named
            .into_iter()
            .chain(layers)
            .map(|(_, route)| route)
            .collect()
    }

    fn seconds_to_live(&self) -> Option<i64> {
        let desired = self.desired("$edgeHub")?;
        desired
            .value
            .pointer("/storeAndForwardConfiguration/timeToLiveSecs")?
            .as_i64()
    }

    fn hub_pointer(&self, place: &str) -> String {
        format!("{}/$edgeHub/{DESIRED}/{place}", self.content.pointer)
    }
}

impl Located<'_> {
    fn at(section: &Section<'_>) -> Self {
        Located {
            desired: section.value.clone(),
            deployment: None,
            places: vec![(String::new(), section.pointer.clone())],
        }
    }

    /// Where a pointer into the settings points to in the document.
    pub fn place(&self, pointer: &str) -> String {
        let below = |from: &str| {
            let rest = pointer.strip_prefix(from)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(rest.to_owned())
        };
        let places = self.places.iter();
        let longest =
            places.filter_map(|(from, to)| Some((from.len(), format!("{to}{}", below(from)?))));
        longest
            .max_by_key(|(length, _)| *length)
            .map_or_else(|| pointer.to_owned(), |(_, place)| place)
    }

    /// A mistake in the settings as a mistake in the document.
    pub fn placed(&self, problem: &Problem) -> Problem {
        Problem {
            pointer: self.place(&problem.pointer),
            ..problem.clone()
        }
    }
}

/// Finds the settings. `module` names the module of a manifest where it cannot be told by itself.
pub fn locate<'a>(
    document: &'a Value,
    module: Option<&str>,
    problems: &mut Problems,
) -> Option<Located<'a>> {
    let root = Section::root(document);
    let path = |names: &[&str]| {
        names
            .iter()
            .try_fold(root.clone(), |section, name| section.member(name))
    };
    let manifest = [
        &["modulesContent"][..],
        &["moduleContent"],
        &["content", "modulesContent"],
    ];
    if let Some(content) = manifest.iter().find_map(|names| path(names)) {
        return in_manifest(content, module, problems);
    }
    let twin = path(&["properties", "desired"]).or_else(|| path(&["desired"]));
    Some(Located::at(&twin.unwrap_or(root)))
}

fn in_manifest<'a>(
    content: Section<'a>,
    module: Option<&str>,
    problems: &mut Problems,
) -> Option<Located<'a>> {
    let mut deployment = Deployment {
        module: String::new(),
        content,
    };
    deployment.module = which_module(&deployment, module, problems)?;
    let ours = deployment.content.member(&deployment.module)?;
    let mut located = match ours.member(DESIRED) {
        Some(desired) => Located::at(&desired),
        None => Located {
            desired: Value::Object(Map::new()),
            deployment: None,
            places: Vec::new(),
        },
    };
    add_layers(&ours, &mut located);
    if located.places.is_empty() {
        problems.add(
            &ours,
            format!("the module has no \"{DESIRED}\", which hold its settings"),
        );
        return None;
    }
    located.deployment = Some(deployment);
    Some(located)
}

/// Layered deployments write `properties.desired.A.B` for one part of the desired properties.
fn add_layers(ours: &Section<'_>, located: &mut Located<'_>) {
    for (name, layer) in ours.members() {
        let Some(path) = name
            .strip_prefix(DESIRED)
            .and_then(|rest| rest.strip_prefix('.'))
        else {
            continue;
        };
        let pointer = path
            .split('.')
            .fold(String::new(), |pointer, step| child_pointer(&pointer, step));
        if put(&mut located.desired, path, layer.value) {
            located.places.push((pointer, layer.pointer));
        }
    }
}

fn put(document: &mut Value, path: &str, value: &Value) -> bool {
    let mut at = document;
    for step in path.split('.') {
        let Some(object) = at.as_object_mut() else {
            return false;
        };
        at = object
            .entry(step)
            .or_insert_with(|| Value::Object(Map::new()));
    }
    *at = value.clone();
    true
}

fn which_module(
    deployment: &Deployment<'_>,
    named: Option<&str>,
    problems: &mut Problems,
) -> Option<String> {
    let modules: Vec<&str> = deployment
        .content
        .members()
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with('$'))
        .collect();
    if let Some(named) = named {
        if modules.contains(&named) {
            return Some(named.to_owned());
        }
        problems.add(&deployment.content, unknown_word("module", named, &modules));
        return None;
    }
    let by_image = modules
        .iter()
        .copied()
        .filter(|name| image(deployment, name).is_some_and(|image| image.contains(IMAGE)));
    let by_image: Vec<&str> = by_image.collect();
    let by_settings: Vec<&str> = modules
        .iter()
        .copied()
        .filter(|name| has_devices(deployment, name))
        .collect();
    let found = if by_image.is_empty() {
        by_settings
    } else {
        by_image
    };
    match found.as_slice() {
        [one] => return Some((*one).to_owned()),
        [] => problems.add(
            &deployment.content,
            format!("no module has an image named {IMAGE}, or \"listeners\" or \"outbound\" in its {DESIRED}; name it with --module"),
        ),
        several => problems.add(
            &deployment.content,
            format!("several modules could be meant: {}; name one with --module", several.join(", ")),
        ),
    }
    None
}

fn image<'a>(deployment: &Deployment<'a>, module: &str) -> Option<&'a str> {
    deployment
        .definition(module)?
        .member("settings")?
        .member("image")?
        .value
        .as_str()
}

fn has_devices(deployment: &Deployment<'_>, module: &str) -> bool {
    deployment.desired(module).is_some_and(|desired| {
        let has = |member: &str| desired.member(member).is_some();
        has("listeners") || has("outbound")
    })
}
