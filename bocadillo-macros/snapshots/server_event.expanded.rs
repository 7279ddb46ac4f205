fn events() {
    ::bocadillo::private::EventBuilder::new()
        .name_literal(const { ::bocadillo::private::EventName::from_static("greeting") })
        .build();
    ::bocadillo::private::EventBuilder::new()
        .name_literal(const { ::bocadillo::private::EventName::from_static("greeting") })
        .data_literal("Hello")
        .build();
    ::bocadillo::private::EventBuilder::new()
        .name(name)
        .id(id)
        .retry(RETRY)
        .comment_literal("why")
        .data(["a", "b"])
        .build();
    ::bocadillo::private::EventBuilder::new()
        .id("7")
        .json({
            let mut __json = ::bocadillo::private::JsonWriter::new();
            __json.begin_object();
            __json.key("a");
            __json.value(&(x));
            __json.key("b");
            __json.begin_array();
            __json.value(&(1));
            __json.value(&(y.await?));
            __json.null();
            __json.value(&([0; 2]));
            __json.end_array();
            __json.key("c");
            __json.begin_object();
            __json.key("d");
            __json.null();
            __json.end_object();
            __json.end_object();
            __json
        })
        .build();
    ::bocadillo::private::EventBuilder::new()
        .json({
            let mut __json = ::bocadillo::private::JsonWriter::new();
            __json.value(&(payload));
            __json
        })
        .build();
    ::bocadillo::private::EventBuilder::new()
        .json({
            let mut __json = ::bocadillo::private::JsonWriter::new();
            __json.value(&([1, 2].len()));
            __json
        })
        .build();
}
