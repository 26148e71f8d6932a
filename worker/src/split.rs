//! Parting a transaction whose recipients the server wants apart. Pure: which pieces follow, and where parting does not help.
//!
//! Every piece has fewer recipients than what it came from, so there is an end.

use postroom_shared::replies::Class;
use postroom_shared::replies::class::Split;

use crate::verdict::{Meaning, Verdict};

/// Recipients of one transaction, by place in the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The places.
    pub places: Vec<usize>,
    /// How often in a row the server wanted all of a piece apart and took nobody.
    pub in_vain: u32,
}

impl Piece {
    /// All that is open.
    #[must_use]
    pub fn whole(places: Vec<usize>) -> Self {
        Self { places, in_vain: 0 }
    }
}

/// Takes out of the findings of a piece those that are sent again in smaller pieces. Where parting does not help, the finding
/// becomes what the row says of that.
#[must_use]
pub fn part<'d>(piece: &Piece, findings: &mut Vec<(usize, Verdict)>, domain: impl Fn(usize) -> &'d str) -> Vec<Piece> {
    let wanted = |verdict: &Verdict| match verdict {
        Verdict::Refused(meaning) if meaning.class == Class::Split => Some(*meaning),
        Verdict::Refused(_)
        | Verdict::Delivered
        | Verdict::NoLogin(_)
        | Verdict::BrokenOff(_)
        | Verdict::Failed(_)
        | Verdict::Found
        | Verdict::Untried(_) => None,
    };
    if !findings.iter().any(|(_, verdict)| wanted(verdict).is_some()) {
        return Vec::new();
    }
    let in_vain = match findings.iter().all(|(_, verdict)| wanted(verdict).is_some()) {
        true => piece.in_vain + 1,
        false => 0,
    };
    let several_domains =
        piece.places.iter().any(|place| !domain(*place).eq_ignore_ascii_case(domain(piece.places[0])));
    let (mut halves, mut domains): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    findings.retain_mut(|(place, verdict)| {
        let Some(meaning) = wanted(verdict) else { return true };
        let has_tries = meaning.row.then.is_none_or(|then| in_vain <= then.tries);
        let (helps, places) = match meaning.row.split.unwrap_or(Split::Half) {
            Split::Half => (piece.places.len() > 1, &mut halves),
            Split::Domain => (several_domains, &mut domains),
        };
        if helps && has_tries {
            places.push(*place);
            return false;
        }
        *verdict = Verdict::Refused(Meaning::after_all(meaning.row));
        true
    });
    let mut pieces = by_domain(&domains, domain);
    pieces.extend(halves.chunks(halves.len().div_ceil(2).max(1)).map(<[usize]>::to_vec));
    pieces.into_iter().map(|places| Piece { places, in_vain }).collect()
}

fn by_domain<'d>(places: &[usize], domain: impl Fn(usize) -> &'d str) -> Vec<Vec<usize>> {
    let mut pieces: Vec<Vec<usize>> = Vec::new();
    for place in places {
        match pieces.iter_mut().find(|piece| domain(piece[0]).eq_ignore_ascii_case(domain(*place))) {
            Some(piece) => piece.push(*place),
            None => pieces.push(vec![*place]),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use postroom_shared::reason::Reason;
    use postroom_shared::replies::Table;

    use super::*;

    const DOMAINS: [&str; 6] = ["a.org", "b.org", "A.org", "c.org", "b.org", "a.org"];

    fn refused(name: &str) -> Verdict {
        let row = Table::builtin().unwrap().rows().find(|row| row.name == name).unwrap();
        Verdict::Refused(Meaning::nth(row, 1))
    }

    type Decided = Vec<(usize, Class, Reason)>;

    /// The places of the pieces that follow, and what is decided: class and reason by place.
    fn parted(piece: &Piece, refusal: &str, taken: &[usize]) -> (Vec<Vec<usize>>, Decided) {
        let verdict = |place: &usize| if taken.contains(place) { Verdict::Delivered } else { refused(refusal) };
        let mut findings = piece.places.iter().map(|place| (*place, verdict(place))).collect();
        let pieces = part(piece, &mut findings, |place| DOMAINS[place]);
        let decided = findings.iter().filter_map(|(place, verdict)| {
            let meaning = verdict.meaning()?;
            Some((*place, meaning.class, meaning.reason))
        });
        (pieces.into_iter().map(|piece| piece.places).collect(), decided.collect())
    }

    fn whole(places: &[usize]) -> Piece {
        Piece::whole(places.to_vec())
    }

    #[test]
    fn those_that_were_refused_go_by_domain_or_in_halves() {
        let all = whole(&[0, 1, 2, 3, 4, 5]);
        let none = Vec::new();
        assert_eq!(parted(&all, "several-domains", &[0, 2, 5]), (vec![vec![1, 4], vec![3]], none.clone()));
        assert_eq!(parted(&all, "several-domains", &[]), (vec![vec![0, 2, 5], vec![1, 4], vec![3]], none.clone()));
        assert_eq!(parted(&all, "too-many-recipients", &[0]), (vec![vec![1, 2, 3], vec![4, 5]], none.clone()));
        assert_eq!(parted(&all, "too-many-recipients", &[0, 1, 2, 3, 4]), (vec![vec![5]], none.clone()));
        assert_eq!(parted(&all, "other-4xx", &[0, 1, 2, 3, 4]).0, Vec::<Vec<usize>>::new());
    }

    #[test]
    fn where_parting_does_not_help_the_row_says_what_it_means() {
        let quota = |place| (place, Class::Quota, Reason::Quota);
        assert_eq!(parted(&whole(&[3]), "too-many-recipients", &[]), (vec![], vec![quota(3)]));
        assert_eq!(parted(&whole(&[3]), "senders-recipients", &[]), (vec![], vec![quota(3)]));
        let one_domain = parted(&whole(&[1, 4]), "several-domains", &[]);
        assert_eq!(one_domain, (vec![], vec![(1, Class::Soon, Reason::Split), (4, Class::Soon, Reason::Split)]));
        // Nobody was taken, again and again.
        let piece = |in_vain| Piece { places: vec![0, 1], in_vain };
        assert_eq!(parted(&piece(2), "too-many-recipients", &[]).0, [[0], [1]]);
        assert_eq!(parted(&piece(3), "too-many-recipients", &[]), (vec![], vec![quota(0), quota(1)]));
        assert_eq!(parted(&piece(3), "too-many-recipients", &[0]).0, [[1]]);
        assert_eq!(parted(&piece(1), "senders-recipients", &[]).0, Vec::<Vec<usize>>::new());
    }

    #[test]
    fn a_server_that_takes_one_at_a_time_gets_them_all_and_it_ends() {
        let (mut pieces, mut rounds, mut taken) = (vec![whole(&[0, 1, 2, 3, 4, 5])], 0, Vec::new());
        while let Some(piece) = pieces.pop() {
            let mut findings = vec![(piece.places[0], Verdict::Delivered)];
            findings.extend(piece.places[1..].iter().map(|place| (*place, refused("too-many-recipients"))));
            pieces.extend(part(&piece, &mut findings, |place| DOMAINS[place]));
            taken.extend(findings.iter().map(|(place, _)| *place));
            rounds += 1;
        }
        taken.sort_unstable();
        assert_eq!((taken, rounds), (vec![0, 1, 2, 3, 4, 5], 6));
    }
}
