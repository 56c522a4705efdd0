//! `get`: tables of pods and of manifests.

use std::time::Duration;

use pod::api;
use podstatus::{age, row};

use crate::{
    columns::{Columns, table},
    document::{FileState, PodState, State},
};

/// What there is to know of nothing.
const NONE: &str = "<none>";

/// Which columns a table of pods has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The namespace.
    pub namespaces: bool,
    /// Address, node, and where the manifest is.
    pub wide: bool,
}

impl Shape {
    fn headings(self) -> Vec<String> {
        let mut all = vec![];
        if self.namespaces {
            all.push("NAMESPACE");
        }
        all.extend(["NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
        if self.wide {
            all.extend(["IP", "NODE", "SOURCE"]);
        }
        all.into_iter().map(str::to_owned).collect()
    }

    fn row(self, pod: &PodState, state: &State) -> Vec<String> {
        let spec = pod.pod.spec.clone().unwrap_or_default();
        let status = pod.pod.status.clone().unwrap_or_default();
        let wall = state.time.0.as_second();
        let told = row(&spec, &status, pod.stopping || !pod.wanted, wall);
        let mut cells = vec![];
        if self.namespaces {
            cells.push(pod.namespace().to_owned());
        }
        cells.push(pod.name().to_owned());
        cells.extend([told.ready, told.status, told.restarts, told.age]);
        if self.wide {
            let none = || NONE.to_owned();
            cells.push(status.pod_ip.unwrap_or_else(none));
            cells.push(state.node.clone());
            let source = pod.origin.clone().or_else(|| pod.source.clone());
            cells.push(source.unwrap_or_else(none));
        }
        cells
    }
}

/// A table that grows: while it is watched, rows of what changed come below the others.
#[derive(Debug)]
pub struct PodTable {
    shape: Shape,
    columns: Columns,
    /// Every row as it was printed last, without its age.
    known: Vec<(String, Vec<String>)>,
    headed: bool,
}

impl PodTable {
    /// An empty table.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            columns: Columns::default(),
            known: Vec::new(),
            headed: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.headed
    }

    /// What is new about these pods: at first everything.
    pub fn show<'a>(
        &mut self,
        pods: impl IntoIterator<Item = &'a PodState>,
        state: &State,
    ) -> String {
        let mut rows = Vec::new();
        let mut now = Vec::new();
        for pod in pods {
            let row = self.shape.row(pod, state);
            let age = 4 + usize::from(self.shape.namespaces);
            let lasting = row.iter().enumerate();
            let lasting = lasting.filter(|(at, _)| *at != age);
            let mut lasting: Vec<String> = lasting.map(|(_, cell)| cell.clone()).collect();
            // `3 (5m ago)`: the number alone.
            if let Some(restarts) = lasting.get_mut(age - 1) {
                *restarts = restarts.split(' ').next().unwrap_or_default().to_owned();
            }
            let name = format!("{}/{}", pod.namespace(), pod.name());
            let before = self.known.iter().find(|(known, _)| *known == name);
            if before.is_none_or(|(_, before)| *before != lasting) {
                rows.push(row);
            }
            now.push((name, lasting));
        }
        self.known = now;
        if rows.is_empty() {
            return String::new();
        }
        if !self.headed {
            self.headed = true;
            rows.insert(0, self.shape.headings());
        }
        self.columns.lines(&rows)
    }
}

/// Every file that was looked at, and what became of it.
#[must_use]
pub fn manifests(state: &State) -> String {
    let since = |time: &api::Time| {
        let seconds = state.time.0.as_second().saturating_sub(time.0.as_second());
        age(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    };
    let of_file = |file: &FileState| {
        let error = file.error.as_deref().unwrap_or_default();
        let accepted = file.accepted.as_ref().map(since);
        vec![
            file.path.clone(),
            file.status.clone(),
            file.pod.clone().unwrap_or_else(|| NONE.to_owned()),
            accepted.unwrap_or_else(|| NONE.to_owned()),
            error.lines().next().unwrap_or_default().to_owned(),
        ]
    };
    let mut rows = Vec::new();
    for source in &state.sources {
        if let Some(trouble) = &source.trouble {
            let cell = |text: &str| text.to_owned();
            rows.push(vec![
                source.name.clone(),
                cell("unreadable"),
                cell(NONE),
                cell(NONE),
                trouble.clone(),
            ]);
        }
        rows.extend(source.files.iter().map(of_file));
    }
    let mut text = table(&["FILE", "STATUS", "POD", "AGE", "ERROR"], rows);
    // An empty last cell leaves spaces behind.
    text = text
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n");
    text.push('\n');
    text
}
