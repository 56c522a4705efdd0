//! One value of the file, read as what its field wants.

use std::{fmt::Display, net::IpAddr, ops::RangeInclusive, str::FromStr, time::Duration};

use yaml::{
    fault::{Fault, Show},
    scalar::{Scalar, resolve},
    tree::{Kind, Node},
};

use crate::sizes::bytes;

/// A field and what stands there.
pub(super) struct Value<'a> {
    pub(super) field: String,
    pub(super) node: &'a Node,
    /// Whether a complaint may show what stands there.
    pub(super) show: Show,
}

/// What is wrong is noted, and then nothing is set.
pub(super) type Faults = Vec<Fault>;

impl Value<'_> {
    pub(super) fn fault(&self, message: &str, advice: &str) -> Fault {
        Fault {
            field: self.field.clone(),
            place: self.node.place.clone(),
            message: message.to_owned(),
            advice: advice.to_owned(),
            show: self.show,
        }
    }

    fn wants<T>(&self, what: &str, advice: &str, faults: &mut Faults) -> Option<T> {
        if !matches!(self.node.kind, Kind::Null | Kind::Broken) {
            faults.push(self.fault(&format!("must be {what}"), advice));
        }
        None
    }

    /// Text; an empty one is none, as for a kubelet.
    pub(super) fn text(&self, faults: &mut Faults) -> Option<String> {
        match &self.node.kind {
            Kind::Scalar { text, plain } if !plain || matches!(resolve(text), Scalar::Text(_)) => {
                (!text.is_empty()).then(|| text.clone())
            }
            _ => self.wants("text", "put it in quotes", faults),
        }
    }

    pub(super) fn boolean(&self, faults: &mut Faults) -> Option<bool> {
        if let Kind::Scalar { text, plain: true } = &self.node.kind
            && let Scalar::Bool(said) = resolve(text)
        {
            return Some(said);
        }
        self.wants(
            "true or false",
            "write true or false, without quotes",
            faults,
        )
    }

    /// A duration; none at all is no setting, as for a kubelet.
    pub(super) fn duration(&self, faults: &mut Faults) -> Option<Duration> {
        let advice = "write a number and a unit, such as 20s or 1m30s";
        let Kind::Scalar { text, .. } = &self.node.kind else {
            return self.wants("a duration", advice, faults);
        };
        match pace::parse_duration(text) {
            Ok(Duration::ZERO) => None,
            // What is looked at without a pause stops everything else.
            Ok(short) if short < Duration::from_millis(100) => {
                self.wants("100ms or more", advice, faults)
            }
            Ok(duration) => Some(duration),
            Err(_) => self.wants("a duration", advice, faults),
        }
    }

    /// A whole number.
    pub(super) fn whole<T>(&self, range: RangeInclusive<T>, faults: &mut Faults) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let advice = format!("write a number from {} to {}", range.start(), range.end());
        let Kind::Scalar { text, plain: true } = &self.node.kind else {
            return self.wants("a whole number", &advice, faults);
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => self.wants("a whole number that fits", &advice, faults),
        }
    }

    /// A quantity of bytes; 0 is no setting, as for a kubelet.
    pub(super) fn bytes(&self, faults: &mut Faults) -> Option<u64> {
        let advice = "write a quantity such as 10Mi";
        let Kind::Scalar { text, .. } = &self.node.kind else {
            return self.wants("a quantity", advice, faults);
        };
        if self.is_zero() {
            return None;
        }
        match bytes(text) {
            Ok(bytes) => Some(bytes),
            Err(_) => self.wants("a quantity", advice, faults),
        }
    }

    /// One IP address.
    pub(super) fn address(&self, faults: &mut Faults) -> Option<IpAddr> {
        match self.text(faults)?.parse() {
            Ok(address) => Some(address),
            Err(_) => self.wants("an IP address", "write one such as 127.0.0.1", faults),
        }
    }

    /// The items of a list.
    pub(super) fn items(&self, faults: &mut Faults) -> Vec<Self> {
        let Kind::List(items) = &self.node.kind else {
            return self
                .wants("a list", "write - before each item", faults)
                .unwrap_or_default();
        };
        let item = |(at, node)| Value {
            field: format!("{}[{at}]", self.field),
            node,
            show: self.show,
        };
        items.iter().enumerate().map(item).collect()
    }

    pub(super) fn texts(&self, faults: &mut Faults) -> Vec<String> {
        let items = self.items(faults);
        items.iter().filter_map(|item| item.text(faults)).collect()
    }

    pub(super) fn addresses(&self, faults: &mut Faults) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for item in self.items(faults) {
            match item.text(faults).map(|text| text.parse()) {
                Some(Ok(address)) => addresses.push(address),
                Some(Err(_)) => {
                    let _: Option<()> =
                        item.wants("an IP address", "write one such as 10.96.0.10", faults);
                }
                None => {}
            }
        }
        addresses
    }

    /// Whether this says nothing: tools write out every field, most of them so.
    pub(super) fn is_zero(&self) -> bool {
        is_zero(self.node)
    }
}

pub(super) fn is_zero(node: &Node) -> bool {
    match &node.kind {
        Kind::Null | Kind::Broken => true,
        Kind::Scalar { text, .. } => matches!(text.as_str(), "" | "0" | "0s"),
        Kind::List(items) => items.is_empty(),
        Kind::Map(entries) => entries.iter().all(|entry| is_zero(&entry.value)),
    }
}
