//! Every way a story can go, one after the other.
//!
//! A story asks here wherever the world could do one thing or another. Told again and again from its beginning, it
//! takes each combination once. Nothing is drawn: two runs are the same. Misfortunes are out of a budget, which is
//! the depth of the exploration; turns (who comes first, how long somebody waits) are free.

use std::collections::HashSet;

/// Choices of one path, and what is known of the paths before.
pub struct Choices {
    /// What was chosen, out of how many.
    path: Vec<(usize, usize)>,
    told: usize,
    budget: usize,
    left: usize,
    /// Worlds in which there was a choice.
    pub states: HashSet<u64>,
    /// Paths so far.
    pub paths: usize,
}

impl Choices {
    /// At most so many misfortunes in one story.
    pub fn new(budget: usize) -> Self {
        Self {
            path: Vec::new(),
            told: 0,
            budget,
            left: budget,
            states: HashSet::new(),
            paths: 0,
        }
    }

    /// One of so many that are equally likely.
    pub fn turn(&mut self, of: usize) -> usize {
        if self.told == self.path.len() {
            self.path.push((0, of));
        }
        let (chosen, was_of) = self.path[self.told];
        assert_eq!(of, was_of, "a story went another way when it was told again");
        self.told += 1;
        chosen
    }

    /// The first of so many costs nothing; while the budget lasts any other may come instead.
    pub fn misfortune(&mut self, of: usize) -> usize {
        if self.left == 0 {
            return 0;
        }
        let chosen = self.turn(of);
        self.left -= usize::from(chosen > 0);
        chosen
    }

    /// Goes back to the beginning, for the next path; whether there is one.
    pub fn next_path(&mut self) -> bool {
        self.paths += 1;
        self.path.truncate(self.told);
        while self.path.last().is_some_and(|(chosen, of)| chosen + 1 == *of) {
            self.path.pop();
        }
        self.told = 0;
        self.left = self.budget;
        match self.path.last_mut() {
            Some((chosen, _)) => {
                *chosen += 1;
                true
            }
            None => false,
        }
    }
}
