// Check the accessibility of a built site with axe-core: `node docs/accessibility.mjs SITE [PAGE ...]`.
//
// Where Chromium is installed, it shows the pages in both themes and at the width of a phone. Elsewhere jsdom reads
// them; it has no layout and no styles, so that the rules on colours and sizes are left out. Without PAGE, one page of
// each kind is checked.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const AXE = "axe-core@4.14.1";
const PUPPETEER = "puppeteer-core@24.43.1";
const JSDOM = "jsdom@26.1.0";

const PAGES = [
  "index.html",
  "all_of_jaxdl.html",
  "course/decisions.html",
  "howto/photos.html",
  "generated/jaxdl.nn.attention.html",
  "_modules/jaxdl/arrays.html",
  "gallery.html",
  "gallery/lenet_digits.html",
  "what_holds.html",
  "glossary.html",
  "search.html",
];
const VIEWS = [
  { theme: "light", width: 1280 },
  { theme: "dark", width: 1280 },
  { theme: "light", width: 390 },
];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND", // MathJax is not loaded: the result does not depend on the network
];

/** Return the path of a Chromium, or undefined. */
function findChromium() {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const folders = process.env.PATH.split(delimiter);
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(existsSync);
}

/** Install packages into a folder and return a `require` for them. */
function install(folder, ...packages) {
  const options = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder];
  try {
    execFileSync("npm", ["install", ...options, ...packages], { stdio: ["ignore", "ignore", "inherit"] });
  } catch {
    console.log(`npm could not install ${packages.join(" and ")}: the check of the site's accessibility is left out`);
    process.exit(0);
  }
  return createRequire(join(folder, "packages"));
}

/** Check the pages in Chromium and return the violations, each with its place. */
async function checkInChromium(site, pages, folder, executablePath) {
  const load = install(folder, AXE, PUPPETEER);
  const axe = readFileSync(load.resolve("axe-core/axe.min.js"), "utf8");
  const userDataDir = join(folder, "profile");
  const chromium = await load("puppeteer-core").launch({ executablePath, userDataDir, args: FLAGS });
  const found = [];
  try {
    const tab = await chromium.newPage();
    for (const { theme, width } of VIEWS) {
      await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
      await tab.setViewport({ width, height: 900 });
      for (const page of pages) {
        await tab.goto(pathToFileURL(join(site, page)).href);
        await tab.evaluate(axe);
        const { violations } = await tab.evaluate(() => {
          document.getAnimations().forEach((animation) => animation.finish()); // colours fade from theme to theme
          return window.axe.run(document, { resultTypes: ["violations"] });
        });
        found.push(...violations.map((violation) => ({ place: `${page} (${theme}, ${width} px)`, ...violation })));
      }
    }
  } finally {
    await chromium.close();
  }
  return found;
}

/** Check the pages in jsdom and return the violations, each with its place. */
async function checkInJsdom(site, pages, folder) {
  const load = install(folder, AXE, JSDOM);
  const axe = readFileSync(load.resolve("axe-core/axe.min.js"), "utf8");
  const jsdom = load("jsdom");
  const found = [];
  for (const page of pages) {
    const options = { runScripts: "outside-only", virtualConsole: new jsdom.VirtualConsole() };
    const { window } = new jsdom.JSDOM(readFileSync(join(site, page), "utf8"), options);
    window.eval(axe);
    const context = { exclude: ["#jb-print-docs-body"] }; // the theme hides it by styles, except in print
    const rules = { "color-contrast": { enabled: false } };
    const { violations } = await window.axe.run(context, { resultTypes: ["violations"], rules });
    found.push(...violations.map((violation) => ({ place: page, ...violation })));
    window.close();
  }
  return found;
}

const [site, ...pages] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "axe-"));
try {
  const chromium = findChromium();
  const check = chromium ? checkInChromium : checkInJsdom;
  const chosen = pages.length ? pages : PAGES;
  const found = await check(resolve(site), chosen, folder, chromium);
  for (const { place, id, impact, help, nodes } of found) {
    const { target, html } = nodes[0];
    console.log(`${place}: ${id} (${impact}): ${help}; ${nodes.length} of them, first ${target.join(" ")}`);
    console.log(`  ${html.slice(0, 200)}`);
  }
  console.log(`axe: ${found.length} violations on ${chosen.length} pages, ${Math.round(performance.now() / 1000)} s`);
  if (!chromium) {
    console.log("Chromium is not installed: the rules of axe on colours and sizes are left out");
  }
  process.exitCode = found.length ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
