from flaskware_sqlalchemy import Page


class Pagination(Page):
    """A page of what a subclass fetches in two methods, made as theirs is."""

    def __init__(self, *, page: int, per_page: int, **_: object) -> None:
        self.page, self.per_page = page, per_page
        items, total = self._query_items(), self._query_count()
        super().__init__(items, page, per_page, total, page * per_page < total)

    @property
    def _query_offset(self) -> int:
        return (self.page - 1) * self.per_page
