//! Three servers on one database, of which one after the other is killed (SIGKILL) while clients ask
//! all of them: nothing that was answered is lost, and no answer is older than what any of them had
//! answered before.

use crate::load::Load;
use crate::postgres::Installation;
use crate::support::Server;

const SERVERS: usize = 3;
/// How often one of them is killed.
const KILLS: usize = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_server_is_killed_the_others_answer_as_one() {
    let installation = Installation::new();
    let mut servers: Vec<_> = (0..SERVERS).map(|_| installation.serve()).collect();
    let load = Load::on(&installation, &servers).await;
    let clients = load.start(4);
    for kill in 0..KILLS {
        load.more(5, 20).await;
        let server = &mut servers[kill % SERVERS];
        std::mem::replace(server, installation.serve()).kill();
        load.replace(kill % SERVERS, server);
    }
    load.more(5, 20).await;
    load.end(clients, &installation, 0).await;
    // Whoever comes after a process that is gone takes its place.
    let slots = installation.0.run("SELECT count(*) FROM usage_slots");
    assert!(slots.parse::<usize>().unwrap() <= SERVERS + 2, "{slots} slots");
    servers.into_iter().for_each(Server::stop);
    installation.run("verify").succeeded();
}
