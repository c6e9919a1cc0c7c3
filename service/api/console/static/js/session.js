// The API key of this tab. It is gone with the tab, and goes nowhere but to this server's API.

const NAME = "bump-key";

export const session = {
  /** What GET /v1/project said of the key. */
  project: null,

  get key() {
    return sessionStorage.getItem(NAME);
  },

  open(key, project) {
    if (key) sessionStorage.setItem(NAME, key);
    session.project = project;
  },

  close() {
    sessionStorage.removeItem(NAME);
    session.project = null;
  },
};
