//! Whether a look may be believed at all: is it the directory that it was?

use pace::Now;

use super::{Directory, hint::Hint};
use crate::{
    facts::{Digest, Entry, Listing, Look, Scope},
    view::Named,
};

impl<P: Named> Directory<P> {
    /// The listing, if conclusions may be drawn from it.
    pub(super) fn admissible<'a>(
        &mut self,
        look: &'a Look,
        now: Now,
    ) -> Result<Option<&'a Listing>, String> {
        let again = now.mono + self.timing.retry;
        let listing = match &look.found {
            Ok(listing) => listing,
            Err(trouble) => {
                self.full_due = again;
                return Err(trouble.clone());
            }
        };
        if self.identity == Some(listing.identity) {
            self.accept &= look.scope != Scope::All;
            return Ok(Some(listing));
        }
        if look.scope != Scope::All {
            // Whether it may be taken up shows in a full look only.
            self.full_due = now.mono;
            return Ok(None);
        }
        let refusal = if self.accept {
            None
        } else if self.identity.is_some() {
            self.disagreement(listing)
        } else {
            self.vacancy(listing)
        };
        if let Some(refusal) = refusal {
            self.full_due = again;
            return Err(refusal);
        }
        if self.identity.is_some() {
            // What was heard may have been of the directory before.
            self.hints.values_mut().for_each(Hint::forget);
        }
        self.accept = false;
        self.before = None;
        self.identity = Some(listing.identity);
        Ok(Some(listing))
    }

    /// Why a directory that came in the place of the one before is not taken up.
    fn disagreement(&self, listing: &Listing) -> Option<String> {
        let path = self.path.display();
        for (name, track) in &self.tracks {
            let same = match (listing.entries.get(name), &track.good) {
                (Some(Entry::Read { bytes, .. }), Some(good)) => Digest::of(bytes) == good.digest,
                (Some(_), None) => true,
                (None, None) => track.spared.is_none(),
                _ => false,
            };
            if !same {
                let name = name.display();
                return Some(format!(
                    "{path} is another directory than before (its device or inode differs), and its {name} is not what is in force; nothing changes: mount the one before again, put {name} back as it was, or accept the new directory with SIGHUP"
                ));
            }
        }
        None
    }

    /// Why the directory found after a reboot is not believed.
    fn vacancy(&self, listing: &Listing) -> Option<String> {
        let before = self.before?;
        let something = self.tracks.is_empty() || !listing.entries.is_empty();
        if something || before == listing.identity {
            return None;
        }
        Some(format!(
            "{} is empty, and another directory than before the reboot; is its file system not mounted? nothing changes: mount it, put a manifest there, or accept the new directory with SIGHUP",
            self.path.display()
        ))
    }
}
