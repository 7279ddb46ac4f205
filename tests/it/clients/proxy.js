// A proxy as web developers put one in front: Express, with compression for everything.
const express = require('express');
const compression = require('compression');
const { createProxyMiddleware } = require('http-proxy-middleware');

const app = express();
app.use(compression());
app.use(createProxyMiddleware({ target: process.argv.at(-1) }));
const server = app.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
