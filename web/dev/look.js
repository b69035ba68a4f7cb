/** Takes pictures of the page: `node web/dev/look.js URL FOLDER`. */

import { openPage } from "./browser.js";

const [url, folder] = process.argv.slice(2);
const views = {
  light: { viewport: { width: 1440, height: 860 }, colorScheme: "light" },
  dark: { viewport: { width: 1440, height: 860 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", deviceScaleFactor: 2 },
};
for (const [name, options] of Object.entries(views)) {
  const { page, problems, close } = await openPage(url, options);
  await page.waitForSelector('[data-testid="feed-item"]:nth-child(6)', { timeout: 30_000 }).catch(() => {});
  await page.screenshot({ path: `${folder}/${name}.png` });
  if (problems.length > 0) console.log(name, problems);
  await close();
}
