//! What may go wrong, by kind.

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
    QueueError,
    QueueCut,
    DoubleDelivery,
    ConcurrentRedelivery,
    Delay,
    FunctionKilled,
}

impl Kind {
    pub const ALL: [Self; 19] = [
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
        Self::QueueError,
        Self::QueueCut,
        Self::DoubleDelivery,
        Self::ConcurrentRedelivery,
        Self::Delay,
        Self::FunctionKilled,
    ];

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
            Self::QueueError => "database away, queue answers 500",
            Self::QueueCut => "database away, queue cut",
            Self::DoubleDelivery => "double delivery",
            Self::ConcurrentRedelivery => "concurrent redelivery",
            Self::Delay => "late delivery",
            Self::FunctionKilled => "function killed -9",
        }
    }
}
