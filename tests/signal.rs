//! signal
mod support;

fn main() {
    support::main(&[], vec![]);
}
