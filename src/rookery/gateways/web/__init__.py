"""The pages: Rookery for people with a browser. Rendered here, and light; scripts make them quicker, none is needed.

A page is a handler that takes a `Visit` and answers a `Reply`; a class per subject offers its `routes`, and `app.py` lists the
classes. To add one: write a class as in `profiles.py`, a template that extends `base.html`, and enter the class in `create_pages`.

- `visits.py`: what a handler gets (who visits, the form, the page of a list, the language) and what it answers.
- `runner.py`: what happens around each handler: session, who may, CSRF, limits, errors as pages. Every POST must carry the hidden field
  `csrf`, which `{{ csrf() }}` writes; handlers need not look at it.
- `rendering.py`: templates, with `_`, `ngettext`, and the filters `when` (a moment), `compact` (a number), `linked` (a tweet's text).
- `writing.py`: what the form of a tweet says, for writing one, a draft of one, and one that is there; the form is `parts.writing`.
- Acts are forms. An act answers `visit.back()`: to where the form's hidden field `next` says; or, where a script asks for it
  (`visit.fragment`), the piece of page that the act changed, such as the tweet.
- Content-Security-Policy forbids inline scripts and styles: no `style=`, no `onclick=`.
"""
