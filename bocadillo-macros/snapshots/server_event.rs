fn events() {
    server_event!("greeting");
    server_event!("greeting", data = "Hello");
    server_event!(name, id = id, retry = RETRY, comment = "why", data = ["a", "b"]);
    server_event!(id = "7", json = {"a": x, ("b"): [1, y.await?, null, [0; 2]], "c": {"d": null,},});
    server_event!(json = payload);
    server_event!(json = [1, 2].len());
}
