//! Control operations on a node's port, handshake and connections.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Control, ControlError};
use crate::faults::Listener;
use crate::state::Node;
use crate::tls::TlsMode;
use crate::wire::{Connections, Ending, ListenerMode, Wire};

impl Control {
    /// The nodes an operation is about; none named: both.
    fn wires(&self, listener: Option<Listener>) -> impl Iterator<Item = &Wire> {
        [Listener::Active, Listener::Standby]
            .into_iter()
            .filter(move |node| listener.is_none_or(|wanted| wanted == *node))
            .map(|node| self.wire(node))
    }

    fn wire(&self, listener: Listener) -> &Wire {
        self.shared.wire(match listener {
            Listener::Active => Node::Active,
            Listener::Standby => Node::Standby,
        })
    }

    /// Changes how connections are taken, at once; no listener named: on both nodes.
    ///
    /// # Errors
    /// When the system does not give a port back.
    pub fn listener(
        &self,
        listener: Option<Listener>,
        mode: ListenerMode,
    ) -> Result<(), ControlError> {
        for wire in self.wires(listener) {
            wire.set_mode(mode)?;
        }
        Ok(())
    }

    /// Changes the handshake, and ends the connections there are, so that it is felt at once.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn tls(&self, listener: Option<Listener>, mode: TlsMode) -> Result<(), ControlError> {
        for wire in self.wires(listener) {
            wire.set_tls(mode, self.shared.authority.handshake(mode)?);
        }
        Ok(())
    }

    /// Ends all connections; gives how many.
    pub fn connections_close(&self, listener: Option<Listener>, how: Ending) -> usize {
        self.wires(listener).map(|wire| wire.end(how, false)).sum()
    }

    /// Ends the connections that have no request under way; gives how many.
    pub fn connections_close_idle(&self, listener: Option<Listener>, how: Ending) -> usize {
        self.wires(listener).map(|wire| wire.end(how, true)).sum()
    }

    /// Ends connections in good order once they had no request for so many milliseconds.
    pub fn idle_timeout(&self, listener: Option<Listener>, ms: u64) {
        for wire in self.wires(listener) {
            wire.set_idle_limit(Duration::from_millis(ms));
        }
    }

    /// How many connections a node has, and had.
    #[must_use]
    pub fn connections(&self, listener: Listener) -> Connections {
        self.wire(listener).connections()
    }

    /// Starts the server again: all connections are reset, new ones refused for `down_ms`
    /// milliseconds, then all is as before, or sealed.
    ///
    /// # Errors
    /// When the system does not give a port back.
    pub fn restart(
        &self,
        listener: Option<Listener>,
        down_ms: u64,
        sealed: bool,
    ) -> Result<(), ControlError> {
        for wire in self.wires(listener) {
            wire.restart(Duration::from_millis(down_ms))?;
        }
        if sealed {
            self.seal();
        }
        Ok(())
    }

    /// Gives the ports of the nodes back.
    pub(crate) fn shut(&self) {
        self.wires(None).for_each(Wire::shut);
    }

    /// How the listeners stand, as a part of the status.
    pub(super) fn listeners(&self) -> Value {
        let one = |listener| {
            let wire = self.wire(listener);
            let ((mode, tls), connections) = (wire.modes(), wire.connections());
            json!({ "mode": mode, "tls": tls, "connections": connections })
        };
        json!({ "active": one(Listener::Active), "standby": one(Listener::Standby) })
    }
}
