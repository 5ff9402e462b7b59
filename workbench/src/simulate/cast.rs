//! Who plays: the frames of each device, with an identity of its own, rehearsed before they are sent.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use edge_tcp_gateway::identity::safe_name;
use serde_json::{Map, Value};

use super::pack::Pack;
use super::rename::{Place, rename, whole_wire};
use super::stage::{Heard, Stage};

/// What one device says on each of its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The name by which the gateway knows it; without one it goes by its connection.
    pub name: Option<String>,
    /// Said once, up to who it is.
    pub opening: Vec<Line>,
    /// Said again and again.
    pub cycle: Vec<Line>,
}

/// A frame that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its bytes on the wire.
    pub wire: Bytes,
    /// Bytes that the gateway answers; 0 is no answer.
    pub reply: usize,
    /// Messages that come of it.
    pub messages: usize,
}

/// The frames that the devices of a pack say.
#[derive(Debug)]
pub struct Cast {
    stage: Stage,
    opening: Vec<Act>,
    cycle: Vec<Act>,
    /// The first identity, from which the others are counted on; `None` where frames do not say any.
    first: Option<Place>,
}

/// A golden frame, and where it says who it is from.
#[derive(Clone, Debug)]
struct Act {
    heard: Heard,
    place: Option<Place>,
}

impl Cast {
    /// Chooses the frames of a pack that a device can say again and again.
    ///
    /// # Errors
    /// When none of its golden frames can be said.
    pub fn new(pack: &Pack) -> anyhow::Result<Self> {
        let stage = Stage::new(&pack.document, &pack.devices)?;
        let streams = pack.streams.iter();
        let mut streams: Vec<Vec<Act>> = streams.map(|content| acts(&stage, content)).collect();
        let names = |act: &Act| act.place.is_some();
        // The stream that says who speaks comes first, so that the first identity is its own.
        if let Some(leader) = streams.iter().position(|acts| acts.iter().any(names)) {
            streams.swap(0, leader);
        }
        let first = streams.iter().flatten().find_map(|act| act.place.clone());
        let leader = streams.first().and_then(|acts| acts.iter().position(names));
        let login = leader.filter(|_| stage.protocol.identity.has_login());
        let mut opening: Vec<Act> = streams.into_iter().flatten().collect();
        let others = opening.split_off(login.map_or(0, |at| at + 1));
        let mut cast = Cast {
            stage,
            opening,
            cycle: Vec::new(),
            first,
        };
        cast.cycle = others.into_iter().filter(|act| cast.can_say(act)).collect();
        if cast.cycle.is_empty() {
            // A login that nothing follows is said again.
            cast.cycle = std::mem::take(&mut cast.opening);
        }
        match cast.cycle.is_empty() {
            true => bail!("no frame of its golden streams can be said again and again"),
            false => Ok(cast),
        }
    }

    /// Whether each device says who it is.
    pub fn has_names(&self) -> bool {
        self.first.is_some()
    }

    /// What the frames are held against.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The stage alone.
    pub fn into_stage(self) -> Stage {
        self.stage
    }

    /// Whether a device can say that behind its opening, as often as it likes, and without trouble.
    fn can_say(&self, act: &Act) -> bool {
        let has_login = self.stage.protocol.identity.has_login();
        let is_login = has_login && act.place.is_some() && act.heard.messages == 0;
        let works = || self.script(&self.stage, 0, std::slice::from_ref(act));
        !is_login && works().is_ok()
    }

    /// What so many devices say, each frame rehearsed as that device.
    ///
    /// # Errors
    /// When the identity has no room for so many, or a frame made for one of them is not what it
    /// should be.
    pub fn scripts(&self, pack: &Pack, count: u32) -> anyhow::Result<Vec<Script>> {
        let last = u64::from(count.saturating_sub(1));
        let last = self.first.as_ref().map(|first| first.text_of(last));
        if let Some(None) = last {
            bail!("the identity has no room for {count} devices");
        }
        let stage = self.stage_for(pack, count)?;
        let stage = stage.as_ref().unwrap_or(&self.stage);
        let mut scripts = Vec::new();
        let mut names = BTreeSet::new();
        for number in 0..u64::from(count) {
            let script = self.script(stage, number, &self.cycle);
            let script = script.with_context(|| format!("device {} of {count}", number + 1))?;
            if script.name.is_some() && !names.insert(script.name.clone()) {
                bail!("device {} of {count} has the name of another", number + 1);
            }
            scripts.push(script);
        }
        Ok(scripts)
    }

    /// Where devices say a secret: the stage that knows those of all.
    fn stage_for(&self, pack: &Pack, count: u32) -> anyhow::Result<Option<Stage>> {
        match secrets(self, pack, count) {
            Some(devices) => Stage::new(&pack.document, &devices).map(Some),
            None => Ok(None),
        }
    }

    /// What one device says.
    fn script(&self, stage: &Stage, number: u64, cycle: &[Act]) -> anyhow::Result<Script> {
        let text = match &self.first {
            Some(first) => {
                let text = first.text_of(number);
                Some(text.context("the identity has no room for it")?)
            }
            None => None,
        };
        let acts = self.opening.iter().chain(cycle);
        let wires = acts.map(|act| match (&act.place, &text) {
            (Some(place), Some(text)) => {
                let wire = rename(stage, &act.heard, place, text);
                wire.context("an identity that does not fit its place")
            }
            _ => Ok(whole_wire(stage, &act.heard).to_vec()),
        });
        let wires = wires.collect::<anyhow::Result<Vec<_>>>()?;
        let rehearsed = stage.rehearse(wires.iter().map(|wire| &**wire));
        if rehearsed.troubled || rehearsed.closed || rehearsed.heard.len() != wires.len() {
            bail!("its frames are not read one by one");
        }
        let mut name = None;
        let mut lines = Vec::new();
        let acts = self.opening.iter().chain(cycle);
        for ((act, wire), heard) in acts.zip(wires).zip(rehearsed.heard) {
            check(act, &wire, &heard)?;
            if self.first.is_some() {
                if let (Some(known), true) = (&name, heard.id != name) {
                    bail!("a frame of {known} that is from {:?}", heard.id);
                }
                name = name.or(heard.id);
            }
            lines.push(Line {
                wire: wire.into(),
                reply: heard.reply,
                messages: heard.messages,
            });
        }
        if self.first.is_some() && name.is_none() {
            bail!("no frame says which device it is from");
        }
        let cycle = lines.split_off(self.opening.len());
        Ok(Script {
            name: name.as_deref().map(safe_name),
            opening: lines,
            cycle,
        })
    }
}

/// Whether a frame that was made reads like the golden one that it was made of.
fn check(act: &Act, wire: &[u8], heard: &Heard) -> anyhow::Result<()> {
    if !wire.ends_with(&heard.wire) {
        bail!("a frame is cut otherwise than it was made");
    }
    if let Some(trouble) = heard.trouble {
        bail!("a frame makes trouble: {trouble}");
    }
    if heard.reading.kind != act.heard.reading.kind {
        let (kind, was) = (&heard.reading.kind, &act.heard.reading.kind);
        bail!("a frame is {kind:?} that should be {was:?}");
    }
    Ok(())
}

/// The frames of a stream that were decoded.
fn acts(stage: &Stage, content: &[u8]) -> Vec<Act> {
    let rehearsed = stage.rehearse([content]);
    let heard = rehearsed.heard.into_iter();
    let decoded = heard.filter(|heard| heard.reading.undecoded.is_none());
    let acts = decoded.map(|heard| Act {
        place: Place::find(stage, &heard),
        heard,
    });
    acts.collect()
}

/// The settings' `devices` for so many, where devices say a secret; `None` where they say none.
pub fn secrets(cast: &Cast, pack: &Pack, count: u32) -> Option<Map<String, Value>> {
    cast.stage.protocol.identity.secret()?;
    let first = cast.first.as_ref()?;
    let known = pack.devices.values().next()?;
    let mut devices = Map::new();
    for number in 0..u64::from(count) {
        let mut device = known.clone();
        if let Some(members) = device.as_object_mut() {
            members.remove("match");
        }
        devices.insert(first.text_of(number)?, device);
    }
    Some(devices)
}
