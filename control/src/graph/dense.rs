//! Values by numbers that no other value has, before or after, side by side in the order in which they came: those that are told of together mostly came
//! together, and memory that is read in order is not waited for. It knows nothing of what it holds.

/// A number says in its upper half how many values came until then, and in its lower half where the value lies.
#[derive(Debug)]
pub struct Dense<T> {
    places: Vec<Option<(u64, T)>>,
    free: Vec<u32>,
    numbered: u32,
}

impl<T> Default for Dense<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), numbered: 0 }
    }
}

impl<T> Dense<T> {
    pub fn insert(&mut self, value: T) -> u64 {
        self.numbered = self.numbered.wrapping_add(1);
        let place = self.free.pop().unwrap_or(self.places.len() as u32);
        let number = u64::from(self.numbered) << 32 | u64::from(place);
        match self.places.get_mut(place as usize) {
            Some(free) => *free = Some((number, value)),
            None => self.places.push(Some((number, value))),
        }
        number
    }

    pub fn get(&self, number: u64) -> Option<&T> {
        let (own, value) = self.places.get(number as u32 as usize)?.as_ref()?;
        (*own == number).then_some(value)
    }

    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let (own, value) = self.places.get_mut(number as u32 as usize)?.as_mut()?;
        (*own == number).then_some(value)
    }

    pub fn remove(&mut self, number: u64) -> Option<T> {
        self.get(number)?;
        self.free.push(number as u32);
        self.places.get_mut(number as u32 as usize)?.take().map(|(_, value)| value)
    }

    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.places.iter().flatten().map(|(number, value)| (*number, value))
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests;
