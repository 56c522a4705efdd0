//! The end of a pod's directory.

use std::path::PathBuf;

use crate::{
    host::{HostError, PodDir, Root},
    mounting, tree,
};

/// Unmounts all that is mounted in a pod's directory and removes it. No symlink in it is
/// followed, and nothing is removed while something stays mounted: it could be the host's.
///
/// # Errors
/// Something is still mounted, or the system refused to remove something. To be tried again.
pub fn remove(directory: &PodDir) -> Result<(), HostError> {
    if !directory.exists() {
        return Ok(());
    }
    let mut refused = None;
    for point in mounts(directory)? {
        if let Err(error) = mounting::unmount(&point) {
            let _ = refused.get_or_insert(error);
        }
    }
    let left = mounts(directory)?;
    match refused {
        _ if left.is_empty() => tree::remove(directory.path()),
        Some(error) if !is_busy(&error) => Err(error),
        _ => Err(HostError::StillMounted {
            path: directory.path().to_owned(),
            mounts: left,
        }),
    }
}

fn mounts(directory: &PodDir) -> Result<Vec<PathBuf>, HostError> {
    let points = mounting::points()?;
    Ok(mounting::at_or_below(&points, directory.path()))
}

fn is_busy(error: &HostError) -> bool {
    matches!(error, HostError::Io { source, .. }
        if source.kind() == std::io::ErrorKind::ResourceBusy)
}

/// The uids of directories whose pods `is_known` does not know, sorted.
///
/// # Errors
/// The directory of all pods cannot be listed.
pub fn orphans(root: &Root, is_known: impl Fn(&str) -> bool) -> Result<Vec<String>, HostError> {
    let mut uids = root.uids()?;
    uids.retain(|uid| !is_known(uid));
    Ok(uids)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_directory_goes_with_all_that_is_in_it_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(&place.path().join("root")).unwrap();
        let outside = place.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        let directory = root.pod("u").unwrap();
        let volume = directory.path().join("volumes/kubernetes.io~empty-dir/v");
        fs::create_dir_all(&volume).unwrap();
        symlink(&outside, volume.join("link")).unwrap();
        let _ = root.pod("w").unwrap().write_hosts("").unwrap();

        assert_eq!(orphans(&root, |uid| uid == "w").unwrap(), ["u"]);
        remove(&directory).unwrap();
        remove(&directory).unwrap();

        assert_eq!(root.uids().unwrap(), ["w"]);
        assert!(outside.join("kept").exists());
    }
}
