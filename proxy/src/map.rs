//! The map of the request path. Its keys come from configuration, which no stranger chooses, so a fast hash will do; keys of strangers
//! (names of hosts) stay with the standard library's.

pub type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;
