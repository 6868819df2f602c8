//! What may go wrong, by kind.

/// What a world keeps while its database is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// A queue.
    All,
    /// Its senders are told so.
    Nothing,
}

/// A kind of fault. Its place in [`Kind::ALL`] is its line in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    CutBeforeSend,
    CutBeforeAnswer,
    CutAfterCommit,
    Killed,
    Restarted,
    Stopped,
    Frozen,
    SlowWire,
    Locked,
    TooManyConnections,
    DiskFull,
    ReadOnly,
    AuditHangs,
    QueueDenies,
    QueueError,
    QueueCut,
    DoubleDelivery,
    ConcurrentRedelivery,
    Delay,
    FunctionKilled,
}

impl Kind {
    pub const ALL: [Self; 20] = [
        Self::CutBeforeSend,
        Self::CutBeforeAnswer,
        Self::CutAfterCommit,
        Self::Killed,
        Self::Restarted,
        Self::Stopped,
        Self::Frozen,
        Self::SlowWire,
        Self::Locked,
        Self::TooManyConnections,
        Self::DiskFull,
        Self::ReadOnly,
        Self::AuditHangs,
        Self::QueueDenies,
        Self::QueueError,
        Self::QueueCut,
        Self::DoubleDelivery,
        Self::ConcurrentRedelivery,
        Self::Delay,
        Self::FunctionKilled,
    ];

    /// Those that a world without a queue has, each once.
    pub const ALONE: [Self; 6] = [
        Self::ReadOnly,
        Self::CutBeforeAnswer,
        Self::TooManyConnections,
        Self::CutAfterCommit,
        Self::Restarted,
        Self::Locked,
    ];

    /// Whether a sender may be told while it lasts that nobody knows: something was cut between send and answer, and
    /// neither the database nor a queue said afterwards what became of it.
    pub fn may_hide(self, keeps: Keeps) -> bool {
        match self {
            Self::QueueDenies | Self::QueueError | Self::QueueCut => true,
            Self::Frozen | Self::FunctionKilled => true,
            Self::ReadOnly => false,
            _ => keeps == Keeps::Nothing,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::CutBeforeSend => "connection cut before send",
            Self::CutBeforeAnswer => "connection cut between send and answer",
            Self::CutAfterCommit => "connection cut after commit",
            Self::Killed => "PostgreSQL killed -9",
            Self::Restarted => "PostgreSQL restarted",
            Self::Stopped => "PostgreSQL stopped for a while",
            Self::Frozen => "sandbox frozen, backend ended, thawed",
            Self::SlowWire => "slow database",
            Self::Locked => "table locked",
            Self::TooManyConnections => "too many connections",
            Self::DiskFull => "disk full",
            Self::ReadOnly => "read-only failover",
            Self::AuditHangs => "audit function hangs",
            Self::QueueDenies => "database away, queue says no",
            Self::QueueError => "database away, queue answers 500",
            Self::QueueCut => "database away, queue cut",
            Self::DoubleDelivery => "double delivery",
            Self::ConcurrentRedelivery => "concurrent redelivery",
            Self::Delay => "late delivery",
            Self::FunctionKilled => "function killed -9",
        }
    }
}
