// The page's start: takes the settings to the page, mounts it, opens the stream.
import { mount } from "svelte";
import App from "./app/App.svelte";
import "./app/style.css";
import { store } from "./picture/store.svelte";
import { sound } from "./signals/sound.svelte";
import { startBackfill } from "./trend/backfill";
import { login } from "./who/login.svelte";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");
await login.start();
store.start();
sound.start();
startBackfill();
mount(App, { target });
