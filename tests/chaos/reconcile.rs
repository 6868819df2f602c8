//! What the senders were told, held against what is stored: nothing lost, nothing twice, nothing uninvited.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::account::{Attempt, Told};
use super::fault::Kind;
use super::world::{World, TENANTS};

/// A row, as far as it counts here.
#[derive(Clone, Debug)]
pub struct Row {
    tenant: String,
    receipt: String,
}

/// What is stored, by what tells each event from all others.
pub type Rows = HashMap<String, Vec<Row>>;

#[derive(Debug, Default)]
pub struct Verdict {
    pub beacons: usize,
    pub events: usize,
    pub stored: usize,
    pub acknowledged_200: usize,
    pub acknowledged_202: usize,
    pub unavailable: usize,
    pub dead_letters: usize,
    /// Acknowledged and nowhere, or not where it was said to be; and during which fault.
    pub lost: Vec<String>,
    pub twice: Vec<String>,
    /// Stored though all who sent it were told that nothing was, or sent by nobody.
    pub uninvited: Vec<String>,
    /// Nobody knows what became of it, and nothing happened that explains why.
    pub unexplained: Vec<String>,
    /// Sums of metrics that are not what the senders were told.
    pub miscounted: Vec<String>,
    /// Events whose sender does not know, and how many of them are stored, by the fault at that time.
    pub open: BTreeMap<Option<Kind>, (usize, usize)>,
}

/// All rows of a world, and the receipts of its dead letters.
pub async fn stored(world: &World) -> (Rows, HashSet<String>) {
    let sql = "select raw_payload ->> 'mark', convert_from(tenant_hk, 'UTF8'), batch_id from raw.site_tracking_events_r";
    let mut rows = Rows::new();
    for row in world.admin().await.query(sql, &[]).await.unwrap() {
        let mark: Option<String> = row.get(0);
        rows.entry(mark.unwrap_or_default()).or_default().push(Row {
            tenant: row.get(1),
            receipt: row.get::<_, Option<String>>(2).unwrap_or_default(),
        });
    }
    let dead = world.source.queue.dead_letters().await;
    let receipt = |letter: &serde_json::Value| {
        let body: serde_json::Value = serde_json::from_str(letter["Body"].as_str()?).ok()?;
        Some(body["receipt"].as_str()?.to_owned())
    };
    let receipts = dead.iter().map(|letter| receipt(letter).unwrap_or_default());
    (rows, receipts.collect())
}

impl Verdict {
    pub fn add(&mut self, attempts: &[Attempt], rows: &Rows, dead: &HashSet<String>) {
        self.beacons += attempts.len();
        self.stored += rows.values().map(Vec::len).sum::<usize>();
        self.dead_letters += dead.len();
        let mut acknowledged: HashSet<&str> = HashSet::new();
        let mut open: HashMap<&str, Option<Kind>> = HashMap::new();
        let mut sent: HashMap<&str, usize> = HashMap::new();
        for mark in attempts.iter().flat_map(|attempt| &attempt.marks) {
            *sent.entry(mark).or_default() += 1;
        }
        for attempt in attempts {
            self.events += attempt.marks.len();
            self.count(&attempt.told);
            for (place, mark) in attempt.marks.iter().enumerate() {
                let was_sent_before =
                    acknowledged.contains(mark.as_str()) || open.contains_key(mark.as_str());
                if attempt.told.is_duplicate(place) && !was_sent_before {
                    self.uninvited.push(format!("{mark} by an earlier attempt"));
                }
                if attempt.told.is_acknowledged() {
                    acknowledged.insert(mark);
                }
                if attempt.told.is_open() {
                    open.insert(mark, attempt.during);
                }
                if attempt.told.is_open() && !attempt.is_explained {
                    let during = attempt.during.map(Kind::name);
                    self.unexplained
                        .push(format!("{mark} ({during:?}): {:?}", attempt.told));
                }
                let is_sent_once = sent.get(mark.as_str()) == Some(&1);
                if let Err(why) = is_kept(attempt, place, rows, dead, is_sent_once) {
                    self.lost
                        .push(format!("{mark} ({:?}): {why}", attempt.during.map(Kind::name)));
                }
            }
        }
        for (mark, found) in rows {
            if found.len() > 1 {
                self.twice.push(format!("{mark} {} times", found.len()));
            }
            if !acknowledged.contains(mark.as_str()) && !open.contains_key(mark.as_str()) {
                self.uninvited.push(mark.clone());
            }
        }
        for (mark, during) in open {
            if !acknowledged.contains(mark) {
                let (all, kept) = self.open.entry(during).or_default();
                *all += 1;
                *kept += usize::from(rows.contains_key(mark));
            }
        }
    }

    fn count(&mut self, told: &Told) {
        match told {
            Told::Stored { .. } => self.acknowledged_200 += 1,
            Told::Queued { .. } => self.acknowledged_202 += 1,
            Told::Unavailable => self.unavailable += 1,
            Told::Unknown | Told::NoAnswer => {}
        }
    }

    pub fn is_good(&self) -> bool {
        let all = [
            &self.lost,
            &self.twice,
            &self.uninvited,
            &self.unexplained,
            &self.miscounted,
        ];
        // Every key is known and every event can be stored: no message has a reason to rest. And unless somebody was told
        // that nothing is stored, that was never seen to be true.
        all.iter().all(|faults| faults.is_empty()) && self.dead_letters == 0 && self.unavailable > 0
    }
}

/// Whether an event is where its sender was told that it is; whoever was told nothing is content.
fn is_kept(
    attempt: &Attempt,
    place: usize,
    rows: &Rows,
    dead: &HashSet<String>,
    is_sent_once: bool,
) -> Result<(), &'static str> {
    let found = rows.get(&attempt.marks[place]).map_or(&[][..], Vec::as_slice);
    let is_in = |receipt: Option<&str>| {
        let is_it = |row: &&Row| receipt.is_none_or(|receipt| row.receipt == receipt);
        match found.iter().find(is_it) {
            None if found.is_empty() => Err("acknowledged and not stored"),
            None => Err("stored under another receipt than the sender was told"),
            Some(row) if row.tenant != TENANTS[attempt.tenant] => Err("stored with another tenant"),
            Some(_) => Ok(()),
        }
    };
    match &attempt.told {
        Told::Stored { receipt, duplicates } => {
            let first = duplicates.iter().find(|(index, _)| *index == place);
            is_in(Some(first.map_or(receipt, |(_, first)| first)))
        }
        // One of an earlier attempt with the same name may have landed before it.
        Told::Queued { receipt } if !dead.contains(receipt) => {
            is_in(is_sent_once.then_some(receipt.as_str()))
        }
        _ => Ok(()),
    }
}
