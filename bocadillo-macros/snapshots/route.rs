#[route("/rooms/{room}/{*rest}", methods = [GET, POST])]
pub async fn view(
    State(db): State<Db>,
    rest: String,
    room: RoomId,
    Json(body): Json<Vec<u8>>,
) -> Result<EventStream, Problem> {
    todo!()
}
