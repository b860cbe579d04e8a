mod dialects;
mod dice;
mod examples;
mod properties;
mod rates;
mod reference;
