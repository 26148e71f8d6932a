//! Whether every mail comes to an end: from every state that can be reached, faults and all, once no more faults happen.
//!
//! The checker's own `eventually` misses paths that join or turn in a circle, so this walks the whole graph backwards: a
//! state is good if all is resolved in it, or if it has a next state and every next state is good. What is left over is
//! stuck, or can turn in a circle for ever.

use std::collections::HashMap;

use stateright::Model as _;

use crate::state::State;
use crate::step::Protocol;

/// What the walk found.
#[derive(Debug)]
pub struct Progress {
    /// States that can be reached.
    pub states: usize,
    /// A state from which some mail may never come to an end.
    pub stuck: Option<State>,
}

/// Walks the whole graph.
#[must_use]
pub fn progress(protocol: &Protocol) -> Progress {
    let graph = Graph::of(protocol);
    let mut open: Vec<u32> = graph.nodes.iter().map(|node| node.next).collect();
    let mut good: Vec<usize> = (0..graph.nodes.len()).filter(|at| graph.nodes[*at].resolved).collect();
    let mut is_good: Vec<bool> = graph.nodes.iter().map(|node| node.resolved).collect();
    while let Some(at) = good.pop() {
        for before in &graph.nodes[at].before {
            let before = *before as usize;
            open[before] -= 1;
            if open[before] == 0 && !is_good[before] {
                is_good[before] = true;
                good.push(before);
            }
        }
    }
    let stuck = graph.numbers.iter().filter(|(_, at)| !is_good[**at as usize]).min_by_key(|(_, at)| **at);
    Progress { states: graph.nodes.len(), stuck: stuck.map(|(state, _)| state.clone()) }
}

#[derive(Default)]
struct Node {
    resolved: bool,
    /// How many steps lead on without a fault.
    next: u32,
    /// From where such steps lead here.
    before: Vec<u32>,
}

struct Graph {
    numbers: HashMap<State, u32>,
    nodes: Vec<Node>,
    coming: Vec<State>,
}

impl Graph {
    fn of(protocol: &Protocol) -> Self {
        let mut graph = Self { numbers: HashMap::new(), nodes: Vec::new(), coming: Vec::new() };
        for first in protocol.init_states() {
            graph.number(first);
        }
        let mut steps = Vec::new();
        while let Some(state) = graph.coming.pop() {
            let at = graph.numbers[&state];
            protocol.actions(&state, &mut steps);
            for step in steps.drain(..) {
                let Some(next) = protocol.next_state(&state, step) else { continue };
                let to = graph.number(next);
                if !step.is_fault(&protocol.0) {
                    graph.nodes[at as usize].next += 1;
                    graph.nodes[to as usize].before.push(at);
                }
            }
        }
        graph
    }

    fn number(&mut self, state: State) -> u32 {
        if let Some(number) = self.numbers.get(&state) {
            return *number;
        }
        let number = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(Node { resolved: state.resolved(), ..Node::default() });
        self.coming.push(state.clone());
        self.numbers.insert(state, number);
        number
    }
}
