//! Each pack's frames under other identities.

use edge_tcp_gateway::settings::Presets;

use crate::simulate::cast::Cast;
use crate::simulate::pack::Pack;

#[test]
fn look() {
    for preset in Presets::names() {
        let pack = Pack::open(preset).expect("shipped");
        match Cast::new(&pack).and_then(|cast| Ok((cast.has_names(), cast.scripts(&pack, 3)?))) {
            Ok((names, scripts)) => {
                let all: Vec<_> = scripts.iter().map(|s| s.name.clone()).collect();
                println!(
                    "{preset}: {names} {all:?} opening {} cycle {}",
                    scripts[0].opening.len(),
                    scripts[0].cycle.len()
                );
            }
            Err(error) => println!("{preset}: {error:#}"),
        }
    }
}
