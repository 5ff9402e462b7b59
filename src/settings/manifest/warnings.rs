//! What a deployment would silently lose although every part of it is well-formed.

use super::Deployment;
use super::container::Container;
use super::routes::Route;
use crate::document::{Problem, Problems};
use crate::message::{COMMAND_RESULTS, COMMANDS_INPUT};
use crate::settings::{Settings, Warning};

/// What edgeHub keeps messages for if the deployment does not say otherwise.
const DEFAULT_SECONDS_TO_LIVE: i64 = 7200;

/// What should be different in the deployment around valid settings. Parts of the manifest that
/// cannot be read at all are noted as problems.
pub fn warnings(
    deployment: &Deployment<'_>,
    settings: &Settings,
    problems: &mut Problems,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let definition = deployment.definition(&deployment.module);
    if let Some(container) = definition.and_then(|definition| Container::read(definition, problems))
    {
        unpublished_ports(&container, settings, &mut warnings);
        storage(&container, &mut warnings);
    }
    let hub = deployment.definition("edgeHub");
    if let Some(hub) = hub.and_then(|hub| Container::read(hub, problems)) {
        hub_storage(&hub, &mut warnings);
    }
    // A layered deployment leaves them to the deployment below it.
    if deployment.desired("$edgeHub").is_some() {
        let routes = routes(deployment, problems);
        untaken_outputs(deployment, settings, &routes, &mut warnings);
        time_to_live(deployment, settings, &routes, &mut warnings);
    }
    warnings
}

fn warning(pointer: impl Into<String>, message: String) -> Warning {
    Problem {
        pointer: pointer.into(),
        column: None,
        message,
    }
}

fn unpublished_ports(container: &Container<'_>, settings: &Settings, warnings: &mut Vec<Warning>) {
    for listener in settings
        .listeners
        .values()
        .filter(|listener| !container.publishes(listener.port))
    {
        let (name, port) = (&listener.name, listener.port);
        let message = format!(
            "listener \"{name}\": port {port} is not published, devices cannot reach it; add \"{port}/tcp\":[{{\"HostPort\":\"{port}\"}}] to HostConfig.PortBindings"
        );
        warnings.push(warning(&container.pointer, message));
    }
}

fn storage(container: &Container<'_>, warnings: &mut Vec<Warning>) {
    let folder = container.variable("STORAGE_DIR").unwrap_or("/data");
    if !container.keeps(folder) {
        let message = format!(
            "nothing is mounted at {folder}, what is stored there is lost with the container; add \"gateway-data:{folder}\" to HostConfig.Binds"
        );
        warnings.push(warning(&container.pointer, message));
    }
}

fn hub_storage(hub: &Container<'_>, warnings: &mut Vec<Warning>) {
    let message = match hub.variable("StorageFolder") {
        Some(folder) if hub.keeps(folder) => return,
        Some(folder) => format!(
            "edgeHub's StorageFolder {folder} is not mounted: messages not yet sent are lost with its container; add \"edgehub-data:{folder}\" to its HostConfig.Binds"
        ),
        None => "edgeHub has no storage outside of its container: messages not yet sent are lost with it; set StorageFolder in its env and mount that folder".to_owned(),
    };
    warnings.push(warning(&hub.pointer, message));
}

/// The routes that can be read; one that cannot makes edgeHub refuse all of them.
fn routes(deployment: &Deployment<'_>, problems: &mut Problems) -> Vec<Route> {
    let mut routes = Vec::new();
    for entry in deployment.routes() {
        match Route::read(&entry) {
            Ok(route) => routes.push(route),
            Err(wrong) => {
                problems.add(
                    &entry,
                    format!("{wrong}; edgeHub refuses all routes when one is wrong"),
                );
            }
        }
    }
    routes
}

fn untaken_outputs(
    deployment: &Deployment<'_>,
    settings: &Settings,
    routes: &[Route],
    warnings: &mut Vec<Warning>,
) {
    let module = &deployment.module;
    let inputs: Vec<&str> = routes
        .iter()
        .filter_map(|route| route.input_of(module))
        .collect();
    for input in inputs.iter().filter(|input| **input != COMMANDS_INPUT) {
        let message = format!(
            "a route leads into input \"{input}\" of {module}, which has none but \"{COMMANDS_INPUT}\""
        );
        warnings.push(warning(deployment.hub_pointer("routes"), message));
    }
    let mut outputs = settings.outputs_in_use();
    if inputs.contains(&COMMANDS_INPUT) {
        outputs.insert(COMMAND_RESULTS.into());
    }
    for output in outputs {
        if !routes.iter().any(|route| route.takes(module, &output)) {
            let message = format!(
                "no route takes output \"{output}\", edgeHub would drop its messages; add FROM /messages/modules/{module}/outputs/* INTO $upstream"
            );
            warnings.push(warning(deployment.hub_pointer("routes"), message));
        }
    }
}

/// A route's own time counts for its messages; where each of ours has one the general one does not matter.
fn time_to_live(
    deployment: &Deployment<'_>,
    settings: &Settings,
    routes: &[Route],
    warnings: &mut Vec<Warning>,
) {
    let outputs = settings.outputs_in_use();
    let ours = |route: &&Route| {
        outputs
            .iter()
            .any(|output| route.takes(&deployment.module, output))
    };
    let general = deployment
        .seconds_to_live()
        .unwrap_or(DEFAULT_SECONDS_TO_LIVE);
    let times = routes
        .iter()
        .filter(ours)
        .map(|route| route.seconds_to_live.unwrap_or(general));
    // A negative time is for ever.
    let shortest = times.filter(|seconds| *seconds >= 0).min();
    if let Some(seconds) = shortest.filter(|seconds| *seconds <= DEFAULT_SECONDS_TO_LIVE) {
        let message = format!(
            "messages are dropped when IoT Hub cannot be reached for {seconds} seconds; 604800 (7 days) keeps them over a long weekend"
        );
        let place = deployment.hub_pointer("storeAndForwardConfiguration/timeToLiveSecs");
        warnings.push(warning(place, message));
    }
}
