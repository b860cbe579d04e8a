mod dice;
mod examples;
mod properties;
mod reference;
