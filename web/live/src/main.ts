/** Starts the page. */

import { mount } from "svelte";
import "./app.css";
import "./sheet.css";
import "./feed.css";
import "./details.css";
// Last: it overrides the others.
import "./narrow.css";
import App from "./App.svelte";
import { LivePage } from "./page.svelte.js";

const page = new LivePage(document.baseURI);
mount(App, { target: document.body, props: { page } });
page.start();
