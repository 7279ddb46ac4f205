pub async fn view(
    State(db): State<Db>,
    rest: String,
    room: RoomId,
    Json(body): Json<Vec<u8>>,
) -> Result<EventStream, Problem> {
    todo!()
}
#[doc(hidden)]
#[non_exhaustive]
pub struct view {}
impl<__State, __Marker> ::bocadillo::private::Endpoint<__State, __Marker> for view
where
    __State: ::core::clone::Clone + ::core::marker::Send + ::core::marker::Sync
        + 'static,
    State<Db>: ::bocadillo::private::FromRouteParts<__State>,
    Json<Vec<u8>>: ::bocadillo::private::FromRouteRequest<__State, __Marker>,
    __Marker: 'static,
{
    const INFO: ::bocadillo::private::RouteInfo = ::bocadillo::private::RouteInfo::new(
        "/rooms/{room}/{*rest}",
        &["GET", "POST"],
        ::core::concat!(::core::module_path!(), "::view"),
        (::core::file!(), ::core::line!()),
        &[
            ::bocadillo::private::RouteArgument::new("_", "State<Db>", false),
            ::bocadillo::private::RouteArgument::new("rest", "String", true),
            ::bocadillo::private::RouteArgument::new("room", "RoomId", true),
            ::bocadillo::private::RouteArgument::new("_", "Json<Vec<u8>>", false),
        ],
    );
    async fn call(
        mut __request: ::bocadillo::private::RouteRequest<__State>,
    ) -> ::core::result::Result<
        ::bocadillo::private::Response,
        ::bocadillo::private::Response,
    > {
        let __arg1 = __request.path_parameter::<String>("rest")?;
        let __arg2 = __request.path_parameter::<RoomId>("room")?;
        let __arg0 = __request.part::<State<Db>>().await?;
        let __arg3 = __request.last::<Json<Vec<u8>>, __Marker>().await?;
        ::core::result::Result::Ok(
            ::bocadillo::private::respond(view(__arg0, __arg1, __arg2, __arg3).await),
        )
    }
}
