//! What must happen in the end: from every state that can be reached, the actions that break nothing lead to a
//! settled state. `stateright` has "eventually" for paths without cycles only; a container that is restarted
//! until PostgreSQL answers is a cycle. So the whole graph is searched backwards, from the settled states.

use std::collections::HashMap;
use std::collections::HashSet;
use std::mem::Discriminant;

use stateright::Model;
use webui_init::settings::OnConflict;

use crate::action::Action;
use crate::protocol::Protocol;
use crate::state::{State, Step};

/// What the search found.
pub struct Recovery {
    /// How many states there are.
    pub states: usize,
    /// A state from which nothing leads to the end.
    pub stuck: Option<State>,
    /// Which kinds of actions occurred.
    pub kinds: HashSet<Discriminant<Action>>,
}

impl Protocol {
    /// The end: everything is moved and every app runs on it; or a visitor was faster and a person must decide.
    pub fn settled(&self, state: &State) -> bool {
        let is_app = |step: &Step| matches!(step, Step::OnPostgres(_));
        if state.postgres.markers > 0 {
            return state.instances.iter().all(is_app);
        }
        let replaces = self.instances.iter().any(|instance| {
            instance.volume && instance.migrations && instance.on_conflict == OnConflict::Replace
        });
        let in_use = state.postgres.users && !replaces;
        in_use
            && state
                .instances
                .iter()
                .zip(&self.instances)
                .all(|(step, instance)| {
                    is_app(step) || instance.volume && instance.on_conflict != OnConflict::Keep
                })
    }

    /// Searches the graph of all states.
    pub fn recovery(&self) -> Recovery {
        let mut numbers: HashMap<State, usize> = HashMap::new();
        let mut states: Vec<State> = Vec::new();
        let mut kinds = HashSet::new();
        for state in self.init_states() {
            numbers.insert(state.clone(), states.len());
            states.push(state);
        }
        let mut led_from: Vec<(usize, usize)> = Vec::new();
        let mut next = 0;
        while next < states.len() {
            for (action, state) in self.next_steps(&states[next].clone()) {
                kinds.insert(std::mem::discriminant(&action));
                let number = *numbers.entry(state).or_insert_with_key(|state| {
                    states.push(state.clone());
                    states.len() - 1
                });
                if !action.breaks() {
                    led_from.push((number, next));
                }
            }
            next += 1;
        }
        led_from.sort_unstable();
        let mut recovers: Vec<bool> = states.iter().map(|state| self.settled(state)).collect();
        let mut waiting: Vec<usize> = (0..states.len()).filter(|state| recovers[*state]).collect();
        while let Some(state) = waiting.pop() {
            let from = led_from.partition_point(|(to, _)| *to < state);
            for (_, before) in led_from[from..].iter().take_while(|(to, _)| *to == state) {
                if !std::mem::replace(&mut recovers[*before], true) {
                    waiting.push(*before);
                }
            }
        }
        let stuck = recovers.iter().position(|recovers| !recovers);
        Recovery {
            states: states.len(),
            stuck: stuck.map(|state| states[state].clone()),
            kinds,
        }
    }
}
