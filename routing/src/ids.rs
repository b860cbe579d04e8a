//! Small numbers for rules and backends, by which the proxy finds metric handles without hashing a name. A number stays with its name
//! while the name lives, through every change of configuration; it is given out again only after the name is gone.

use std::sync::Arc;

#[derive(Clone, Default)]
pub(crate) struct Ids {
    names: Vec<Option<Arc<str>>>,
    free: Vec<u32>,
}

impl Ids {
    pub fn take(&mut self, name: &Arc<str>) -> u32 {
        match self.free.pop() {
            Some(id) => {
                self.names[id as usize] = Some(name.clone());
                id
            }
            None => {
                self.names.push(Some(name.clone()));
                self.names.len() as u32 - 1
            }
        }
    }

    pub fn give_back(&mut self, id: u32) {
        self.names[id as usize] = None;
        self.free.push(id);
    }

    pub fn name(&self, id: u32) -> Option<&Arc<str>> {
        self.names.get(id as usize)?.as_ref()
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }
}
