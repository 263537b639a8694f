//! Real PostgreSQL servers for tests, with what goes wrong around them: a server that is
//! killed or frozen, a pooler, a network that is slow or cut, and a disk that is full.
//!
//! Everything a test starts runs in a folder of its own and ends with the test process,
//! however that ends. No shipped program depends on this crate.

mod compatible;
mod folder;
mod patroni;
mod pooler;
mod proxy;
mod server;
mod small_disk;

pub use folder::{Folder, ReservedPort, until};
pub use patroni::{PatroniCluster, Replication};
pub use pooler::Pooler;
pub use proxy::Proxy;
pub use server::{Major, PostgresServer, ServerSettings};
pub use small_disk::SmallDisk;

/// Why something could not be started, with what it printed.
pub type Problem = String;
