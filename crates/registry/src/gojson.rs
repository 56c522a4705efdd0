//! Strings as Go's encoding/json writes them with HTML escaping on.
