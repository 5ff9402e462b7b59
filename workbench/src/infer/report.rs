//! What was found, for people and for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::capture::Group;
use super::columns::{self, Column};
use super::propose::{ENOUGH, Finding, Proposal, percent, streams};
use super::shipped::Shipped;
use super::trial::{NAME, ratio};

/// A group and what was found in it.
#[derive(Debug)]
pub struct Report<'g> {
    /// Who speaks.
    pub group: &'g Group,
    /// The proposals.
    pub finding: Finding,
    /// Shipped protocols that read it already.
    pub shipped: Vec<Shipped>,
    /// The time was over before all was tried.
    pub hurried: bool,
}

impl Report<'_> {
    /// The columns of the best proposal's frames.
    fn columns(&self) -> Vec<Column> {
        let best = self.finding.proposals.first();
        best.map(|best| columns::view(&best.trial.frames))
            .unwrap_or_default()
    }

    fn nothing(&self) -> String {
        format!(
            "no rule explains more than {} of the bytes: {} at most. A longer capture with frames of \
             several lengths may show more; an encrypted or compressed stream shows nothing.",
            percent(ENOUGH),
            percent(self.finding.best)
        )
    }

    /// As one JSON value.
    pub fn json(&self) -> Value {
        let stretches = &self.group.stretches;
        let proposals = self.finding.proposals.iter().map(|proposal| {
            json!({
                "protocol": proposal.document,
                "score": proposal.score,
                "frames": proposal.trial.spans.len(),
                "text": proposal.is_text(),
                "evidence": proposal.evidence(stretches),
            })
        });
        let shipped = self.shipped.iter().map(|shipped| {
            json!({ "preset": shipped.name, "read": shipped.read, "frames": shipped.frames })
        });
        let mut report = json!({
            "stream": self.group.name,
            "bytes": self.group.len(),
            "streams": stretches.len(),
            "proposals": proposals.collect::<Vec<_>>(),
            "columns": self.columns(),
            "shipped": shipped.collect::<Vec<_>>(),
        });
        if self.finding.proposals.is_empty() {
            report["nothing"] = json!(self.nothing());
        }
        if self.hurried {
            report["hurried"] = json!(true);
        }
        report
    }

    /// For people.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let Report { group, finding, .. } = self;
        let (bytes, streams) = (group.len(), streams(group.stretches.len()));
        writeln!(out, "== {}: {bytes} bytes in {streams}", group.name)?;
        if self.hurried {
            writeln!(
                out,
                "not everything was tried in the time given (--seconds)"
            )?;
        }
        if finding.proposals.is_empty() {
            return writeln!(out, "{}", self.nothing());
        }
        for (index, proposal) in finding.proposals.iter().enumerate() {
            self.proposal(index + 1, proposal, out)?;
        }
        for shipped in &self.shipped {
            let Shipped { name, read, frames } = shipped;
            let share = percent(ratio(*read, *frames));
            writeln!(
                out,
                "\nThe shipped protocol {name} reads {read} of the first {frames} frames ({share}): {{ \"preset\": \"{name}\" }}"
            )?;
        }
        let columns = self.columns();
        if !columns.is_empty() {
            writeln!(out, "\nThe frames of the first proposal, by place:")?;
        }
        for Column { from, to, looks } in columns {
            let place = if to == from + 1 {
                from.to_string()
            } else {
                format!("{from}..{to}")
            };
            writeln!(out, "  {place:>8}  {looks}")?;
        }
        Ok(())
    }

    fn proposal(&self, number: usize, proposal: &Proposal, out: &mut dyn Write) -> io::Result<()> {
        let form = if proposal.is_text() { "text" } else { "binary" };
        writeln!(
            out,
            "\n{number}. explains {} ({form})",
            percent(proposal.score)
        )?;
        let document = serde_json::to_string_pretty(&proposal.document).unwrap_or_default();
        writeln!(out, "\"{NAME}\": {document}")?;
        for line in proposal.evidence(&self.group.stretches) {
            writeln!(out, "  - {line}")?;
        }
        Ok(())
    }
}
