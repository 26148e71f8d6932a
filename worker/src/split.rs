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
pub fn part<'d>(
    piece: &Piece,
    findings: &mut Vec<(usize, Verdict)>,
    domain: impl Fn(usize) -> &'d str,
) -> Vec<Piece> {
    let wanted = |verdict: &Verdict| match verdict {
        Verdict::Refused(meaning) if meaning.class == Class::Split => Some(*meaning),
        Verdict::Refused(_)
        | Verdict::Delivered
        | Verdict::NoLogin(_)
        | Verdict::BrokenOff(_)
        | Verdict::Untried(_) => None,
    };
    if !findings.iter().any(|(_, verdict)| wanted(verdict).is_some()) {
        return Vec::new();
    }
    let in_vain = match findings.iter().all(|(_, verdict)| wanted(verdict).is_some()) {
        true => piece.in_vain + 1,
        false => 0,
    };
    let several_domains = piece.places.iter().any(|place| domain(*place) != domain(piece.places[0]));
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
